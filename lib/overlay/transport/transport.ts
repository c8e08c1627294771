import { SkeinError } from '../../base/errors.js'
import type { Credentials } from '../../security/index.js'

/**
 * What the end of a connection, or a dial that failed, says about the process at the other end.
 *
 * - `refused`: its machine answered that nobody listens there; the process is most likely dead.
 * - `reset`: the connection ended without a goodbye; the process most likely died.
 * - `closed`: it, or we, said goodbye.
 * - `silent`: no answer in time: paused, cut off, or its machine is down. No evidence of death.
 * - `local`: our own network or name service failed. Says nothing about the other end.
 */
export type Evidence = 'refused' | 'reset' | 'closed' | 'silent' | 'local'

/** How a connection ended; `reason` is what the closing end said, for people. */
export interface ConnectionEnd {
  readonly evidence: Evidence
  readonly reason: string
}

/** Whoever uses a connection. Never called before `Connection.open`, and never after `closed`. */
export interface ConnectionUser {
  message(bytes: Uint8Array): void
  /** Bytes have left: there is room for more. */
  drained(): void
  /** Once, last. */
  closed(end: ConnectionEnd): void
}

/** Two ends and messages between them: whole, in order, not twice; lost only when the connection ends. */
export interface Connection {
  /** The other end's address, for people. */
  readonly remote: string
  /** DER of the certificate whose key the other end proved to hold; undefined when it showed none. Whether to believe it is for the user to say. */
  readonly certificate: Uint8Array | undefined
  /** Keying material that both ends of this connection have and nobody else: what is proved over it is proved on no other connection. */
  readonly binding: Uint8Array
  /** Bytes taken by `send` that have not left this process yet. */
  readonly bufferedBytes: number
  /** Begins delivery to `user`; nothing that arrived before is lost. Called once. */
  open(user: ConnectionUser): void
  /** Never throws and never waits; after the end it does nothing. */
  send(message: Uint8Array): void
  /** Sends what was taken, says goodbye, ends when the other end agrees. At most 100 characters of `reason` arrive. */
  close(reason: string): void
  /** Ends at once, without a goodbye. */
  destroy(): void
}

/** Where connections arrive. */
export interface Listener {
  /** The actual `host:port`. */
  readonly address: string
  /** Connections that ended or were cut off before they were handed over: too slow, too many, not for us. */
  readonly turnedAway: number
  /** Takes no more; resolves once every connection taken here has ended (the user of each closes it). */
  close(): Promise<void>
}

/** The network as links need it. Bodies: WebSocket, and a switchboard in memory; both pass `lib/testing/transport-suite`. */
export interface Transport {
  /**
   * @param credentials what to show, as they are at this moment.
   * @throws {SkeinError} ERR_SKEIN_UNREACHABLE (see `evidenceOf`), ERR_SKEIN_OTHER_CLUSTER (it answers, and not to our cluster's name),
   * ERR_SKEIN_ABORTED, ERR_SKEIN_INVALID_OPTION (not an address)
   */
  dial(address: string, credentials: Credentials, signal: AbortSignal): Promise<Connection>
  /**
   * @param address `host:port`; port 0 takes a free one.
   * @param credentials what to show to each that comes, as they are then; nobody is taken while they hold no certificate.
   * @throws {SkeinError} ERR_SKEIN_PORT_IN_USE, ERR_SKEIN_INVALID_OPTION
   */
  listen(address: string, credentials: Credentials, accept: (connection: Connection) => void): Promise<Listener>
}

/** Of a listener that does not answer to the name we asked for: whoever it is, it knows our cluster by none of its roots. */
export function strange(
  address: string,
  { cluster, serverName }: Credentials,
  cause?: unknown,
): SkeinError<'ERR_SKEIN_OTHER_CLUSTER'> {
  const words = `${address} answers, but not as a peer of ${cluster === undefined ? 'the cluster of this join string' : `cluster ${cluster}`}: it belongs to another one (or the root was rotated long ago: take the join string again)`
  return new SkeinError('ERR_SKEIN_OTHER_CLUSTER', words, { ours: cluster ?? serverName, theirs: 'unknown' }, { cause })
}

/** What a dial says where nobody listens. */
export function refused(address: string): SkeinError<'ERR_SKEIN_UNREACHABLE'> {
  const cause = Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: 'ECONNREFUSED' })
  return new SkeinError('ERR_SKEIN_UNREACHABLE', `${address} cannot be reached: ${cause.message}`, { address }, { cause })
}

const localFaults = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENOBUFS',
  'EMFILE',
  'ENFILE',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** What a failed dial says about the other end, from the system's error code somewhere in its causes. */
export function evidenceOf(error: unknown): Evidence {
  const code = systemCode(error)
  if (code === undefined) return 'closed'
  if (code === 'ECONNREFUSED') return 'refused'
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'reset'
  if (code === 'ETIMEDOUT' || code === 'ERR_SKEIN_TIMEOUT' || code === 'ERR_SKEIN_ABORTED') return 'silent'
  return localFaults.has(code) ? 'local' : 'closed'
}

function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  // A name with several addresses fails with one error per address; the last is the one that decided.
  const inner = error instanceof AggregateError ? systemCode(error.errors.at(-1)) : systemCode(error.cause)
  if (inner !== undefined) return inner
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
