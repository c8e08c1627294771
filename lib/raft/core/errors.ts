/** What a caller of the core may have to handle; match on the code, never on the message. */
export type RaftErrorCode =
  /** The index lies before the first entry kept: only a snapshot has it. */
  | 'ERR_COMPACTED'
  /** The index lies after the last entry. */
  | 'ERR_UNAVAILABLE'
  /** A snapshot is older than the one already there. */
  | 'ERR_SNAP_OUT_OF_DATE'
  /** The storage has no snapshot to send just now; the core asks again at the next chance. */
  | 'ERR_SNAPSHOT_TEMPORARILY_UNAVAILABLE'
  /** The proposal did not enter a log and never will; `reason` says why. */
  | 'ERR_PROPOSAL_DROPPED'
  /** A message that only this peer may give itself came from another. */
  | 'ERR_STEP_LOCAL_MSG'
  /** A response came from someone outside the configuration. */
  | 'ERR_STEP_PEER_NOT_FOUND'
  /** The configuration change is illegal in the present configuration. */
  | 'ERR_CONF_CHANGE'

/** Why a proposal was refused: what to do next depends on it (ask another peer, wait, give up). */
export type DropReason =
  | 'no-leader'
  | 'campaigning'
  | 'forwarding-disabled'
  | 'not-a-member'
  | 'transferring'
  | 'too-much-uncommitted'

/** An outcome of the core that its caller can handle. A broken claim about our own code is a SkeinBug instead. */
export class RaftError extends Error {
  override readonly name = 'RaftError'
  readonly code: RaftErrorCode
  /** Only of ERR_PROPOSAL_DROPPED. */
  readonly reason: DropReason | undefined
  constructor(code: RaftErrorCode, message: string, reason?: DropReason) {
    super(message)
    this.code = code
    this.reason = reason
  }
}

// The words are those of etcd/raft, so that its scripts and its users' eyes find what they know.
// Shared values, because a Storage answers with them often and nobody reads their stack.
export const ErrCompacted = new RaftError('ERR_COMPACTED', 'requested index is unavailable due to compaction')
export const ErrUnavailable = new RaftError('ERR_UNAVAILABLE', 'requested entry at index is unavailable')
export const ErrSnapOutOfDate = new RaftError('ERR_SNAP_OUT_OF_DATE', 'requested index is older than the existing snapshot')
export const ErrSnapshotTemporarilyUnavailable = new RaftError(
  'ERR_SNAPSHOT_TEMPORARILY_UNAVAILABLE',
  'snapshot is temporarily unavailable',
)
export const ErrStepLocalMsg = new RaftError('ERR_STEP_LOCAL_MSG', 'raft: cannot step raft local message')
export const ErrStepPeerNotFound = new RaftError('ERR_STEP_PEER_NOT_FOUND', 'raft: cannot step as peer not found')

export function proposalDropped(reason: DropReason): RaftError {
  return new RaftError('ERR_PROPOSAL_DROPPED', 'raft proposal dropped', reason)
}

/** True for a RaftError of this code, also when two copies of skein are loaded. */
export function isRaftError(error: unknown, code: RaftErrorCode): error is RaftError {
  return error instanceof Error && 'code' in error && error.code === code
}
