/**
 * Every error code of skein with what its caller needs next. "No" and "I do not know" are different codes.
 * Documented once, here; `docs/errors.md` is checked against this table.
 */
export interface ErrorDetail {
  /** An option is missing, unknown, of a wrong type or out of range; the message names it and the remedy. */
  ERR_SKEIN_INVALID_OPTION: { readonly option: string; readonly got?: unknown }
  /** A service spec or another object is malformed; `path` is the key path inside it. */
  ERR_SKEIN_INVALID_SPEC: { readonly path: string; readonly got?: unknown }
  /** A stack file could not be read, parsed or understood. */
  ERR_SKEIN_INVALID_STACK: { readonly file: string; readonly path?: string; readonly line?: number }
  /** No object has this name, id or id prefix. */
  ERR_SKEIN_NOT_FOUND: { readonly kind: string; readonly ref: string }
  /** The reference is a prefix of several ids. */
  ERR_SKEIN_AMBIGUOUS: { readonly kind: string; readonly ref: string; readonly candidates: readonly string[] }
  /** The name is taken. */
  ERR_SKEIN_ALREADY_EXISTS: { readonly kind: string; readonly name: string }
  /** Someone else changed the object since the version you saw. */
  ERR_SKEIN_VERSION_CONFLICT: { readonly expected: number; readonly current: unknown }
  /** The object cannot be changed or removed in its present state; the message says what to do first. */
  ERR_SKEIN_PRECONDITION: { readonly what: string }
  /** This peer does not lead; `leader` is the node id to ask, if known. */
  ERR_SKEIN_NOT_LEADER: { readonly leader: string | undefined; readonly address?: string }
  /** No majority of managers answers: the write was refused and has not happened. */
  ERR_SKEIN_NO_QUORUM: { readonly voters: number; readonly reachable: number }
  /** The write may or may not have happened; a retry with the same `requestId` is safe. */
  ERR_SKEIN_OUTCOME_UNKNOWN: { readonly requestId: string }
  /** Too much is under way; try again later, where it is said after `retryAfterMs`. */
  ERR_SKEIN_BUSY: { readonly limit: string; readonly retryAfterMs?: number }
  /** The deadline passed before an answer came; nothing was promised. */
  ERR_SKEIN_TIMEOUT: { readonly what: string; readonly timeoutMs: number }
  /** The caller's signal was aborted. */
  ERR_SKEIN_ABORTED: { readonly what: string }
  /** The peer, link or runner is stopped or stopping. */
  ERR_SKEIN_STOPPED: { readonly what: string }
  /** Nobody answers at the address. */
  ERR_SKEIN_UNREACHABLE: { readonly address: string }
  /** The link went down while an answer was awaited: what was asked may or may not have happened. */
  ERR_SKEIN_LINK_LOST: { readonly node: string }
  /** The port to listen on is taken. */
  ERR_SKEIN_PORT_IN_USE: { readonly address: string }
  /** Another running process holds this data directory. */
  ERR_SKEIN_DIR_IN_USE: { readonly dir: string; readonly pid?: number }
  /** The data directory cannot be created, read or written. */
  ERR_SKEIN_DIR_UNUSABLE: { readonly dir: string }
  /** The data directory, or the other end of a link, belongs to another cluster. */
  ERR_SKEIN_OTHER_CLUSTER: { readonly ours: string; readonly theirs: string }
  /** A file under the data directory is damaged before its tail; the message names file, offset and remedy. */
  ERR_SKEIN_CORRUPT: { readonly file: string; readonly offset?: number }
  /** Writing or syncing to disk failed; the peer stops rather than promise what it cannot keep. */
  ERR_SKEIN_STORAGE: { readonly file: string; readonly syscall?: string }
  /** The join token was refused by the cluster; `part` is what is wrong with it: revoked, role or secret. */
  ERR_SKEIN_BAD_JOIN_SECRET: { readonly address?: string; readonly part?: 'revoked' | 'role' | 'secret' }
  /** The join string is not of the form `skein://TOKEN@host:port[,host:port]`. */
  ERR_SKEIN_BAD_JOIN_STRING: { readonly part: string }
  /** A certificate does not prove who the other end is, or who we are to it. */
  ERR_SKEIN_BAD_CERTIFICATE: {
    readonly reason: 'malformed' | 'expired' | 'not-yet-valid' | 'unknown-root' | 'wrong-role' | 'missing'
  }
  /** The keys in the data directory are sealed with a passphrase: give it, or `skein unlock` them. */
  ERR_SKEIN_LOCKED: { readonly dir: string; readonly tried: boolean }
  /** The other end speaks a newer wire version than this peer can. */
  ERR_SKEIN_WIRE_VERSION: { readonly ours: number; readonly theirs: number }
  /** The caller's role may not do this. */
  ERR_SKEIN_FORBIDDEN: { readonly role: string; readonly verb: string }
  /** The node was removed from the cluster and may not come back under its id. */
  ERR_SKEIN_REMOVED: { readonly node: string }
  /** Bytes from a peer or a disk do not decode; `path` says where. */
  ERR_SKEIN_BAD_MESSAGE: { readonly path: string }
  /** A message, value or entry is over its bound. */
  ERR_SKEIN_TOO_LARGE: { readonly what: string; readonly size: number; readonly limit: number }
  /** The other end does not know this verb. */
  ERR_SKEIN_UNKNOWN_METHOD: { readonly method: string }
  /** The worker's session is unknown or expired; register again. */
  ERR_SKEIN_SESSION_INVALID: { readonly node: string }
  /** No driver of this name on the peer. */
  ERR_SKEIN_NO_DRIVER: { readonly driver: string; readonly available: readonly string[] }
  /** The driver could not prepare or start the task: the task becomes `rejected` or `failed` with this reason. */
  ERR_SKEIN_TASK_REJECTED: { readonly task: string }
  /** Slots used up their restart attempts; `task` is the failing one. */
  ERR_SKEIN_TASKS_EXHAUSTED: { readonly task: unknown }
  /** A slot could not be placed in time. */
  ERR_SKEIN_NOT_CONVERGED: { readonly service: string; readonly running: number; readonly desired: number }
  /** A raft conf change would be unsafe or is already under way. */
  ERR_SKEIN_CONF_CHANGE: { readonly what: string }
  /** The error happened on the other end and has no code of its own. */
  ERR_SKEIN_REMOTE: { readonly method: string }
}

export type ErrorCode = keyof ErrorDetail

/** The one error class of skein: match on `code`, never on class or message. */
export class SkeinError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'SkeinError'
  readonly code: Code
  readonly detail: ErrorDetail[Code]
  constructor(code: Code, message: string, detail: ErrorDetail[Code], options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.detail = detail
  }
}

/** True for an error of this code, also when two copies of skein are loaded. */
export function isSkeinError<Code extends ErrorCode>(error: unknown, code: Code): error is SkeinError<Code> {
  return error instanceof Error && 'code' in error && error.code === code
}

/** The words of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
