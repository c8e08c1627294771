/**
 * The core under the names that etcd's interaction scripts and unit tables are run against. Names only, no protocol logic.
 */
import {
  type ConfChangeSingle,
  type ConfState,
  RawNode as Core,
  type RaftId,
  type RaftOptions,
} from '../../lib/raft/core/index.js'
import { changeSimply, enterJoint, leaveJoint, Tracker as MemberTracker } from '../../lib/raft/core/membership.js'
import type { Progress } from '../../lib/raft/core/progress.js'
import { JointConfig, type VoteResult } from '../../lib/raft/core/quorum.js'

export {
  APPEND_THREAD,
  APPLY_THREAD,
  decodeConfChange as decodeCC,
  ErrCompacted,
  ErrUnavailable,
  limitSize,
} from '../../lib/raft/core/index.js'

/** A core whose elections are etcd's, message for message. */
export class RawNode extends Core {
  constructor(options: RaftOptions) {
    super({ ...options, electionsAsInEtcd: true })
  }
}

/** Two majorities, for the quorum tables. */
export class Joint {
  readonly #config: JointConfig
  constructor(incoming: Iterable<RaftId>, outgoing: Iterable<RaftId> = []) {
    this.#config = new JointConfig(incoming, outgoing)
  }

  /** Infinity when both halves are empty; whoever is missing in `acked` has acknowledged nothing. */
  commit(acked: ReadonlyMap<RaftId, number>): number {
    return this.#config.committedIndex({ ackedIndex: (id) => acked.get(id) ?? 0 })
  }

  vote(votes: ReadonlyMap<RaftId, boolean>): VoteResult {
    return this.#config.voteResult(votes)
  }
}

/** A configuration with the progress of its members, without bounds on what is under way unless given. */
export class Tracker extends MemberTracker {
  constructor(maxMessages = Number.MAX_SAFE_INTEGER, maxBytes = 0) {
    super({ maxMessages, maxBytes: maxBytes === 0 ? Number.POSITIVE_INFINITY : maxBytes })
  }

  /** `conf` under the name tables know. */
  get config(): ConfState {
    return this.conf
  }

  /** The members by ascending id. */
  get progress(): ReadonlyMap<RaftId, Progress> {
    return new Map(this.members.map((member) => [member.id, member]))
  }
}

/** The three kinds of change; each gives the next configuration and changes nothing, or throws. */
export class Changer {
  readonly tracker: MemberTracker
  /** Where members that are new are probed first; tables count it up by themselves. */
  lastIndex: number
  constructor(tracker: MemberTracker, lastIndex = 0) {
    this.tracker = tracker
    this.lastIndex = lastIndex
  }

  simple(changes: readonly ConfChangeSingle[]): ConfState {
    return changeSimply(this.tracker.conf, changes)
  }

  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): ConfState {
    return enterJoint(this.tracker.conf, changes, { autoLeave })
  }

  leaveJoint(): ConfState {
    return leaveJoint(this.tracker.conf)
  }
}

/** Puts a changed configuration into force, in a tracker or in that of a changer; members new to it are probed at `lastIndex`. */
export function setTrk(of: MemberTracker | Changer, conf: ConfState, lastIndex?: number): void {
  if (of instanceof Changer) of.tracker.adopt(conf, lastIndex ?? of.lastIndex)
  else of.adopt(conf, lastIndex ?? 0)
}
