import { planConfChange } from './conf-change.js'
import { RaftError } from './errors.js'
import { type InflightLimits, Progress } from './progress.js'
import { type Acknowledged, JointConfig, type VoteResult } from './quorum.js'
import { type ConfChange, type ConfChangeSingle, type ConfState, NONE, type RaftId } from './state.js'

export const EMPTY_CONF: ConfState = Object.freeze({
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
})

/**
 * The configuration after a change, by its plan.
 * @throws {RaftError} ERR_CONF_CHANGE if it is illegal now; nothing has changed then
 * @see Ongaro 2014 §4.1 (one voter at a time), §4.3 (joint consensus)
 */
export function changeConf(conf: ConfState, change: ConfChange): ConfState {
  const plan = planConfChange(change)
  switch (plan) {
    case 'leave-joint':
      return leaveJoint(conf)
    case 'simple':
      return changeSimply(conf, change.changes)
    case 'enter-joint':
    case 'enter-joint-auto-leave':
      return enterJoint(conf, change.changes, { autoLeave: plan === 'enter-joint-auto-leave' })
  }
}

/** Changes at most one voter; any two consecutive configurations then share a quorum. @throws {RaftError} ERR_CONF_CHANGE */
export function changeSimply(conf: ConfState, changes: readonly ConfChangeSingle[]): ConfState {
  if (isJoint(conf)) throw illegal("can't apply simple config change in joint config")
  const draft = new Draft(conf)
  draft.apply(changes)
  const added = [...draft.voters].filter((id) => !conf.voters.includes(id))
  const removed = conf.voters.filter((id) => !draft.voters.has(id))
  if (added.length + removed.length > 1) throw illegal('more than one voter changed without entering joint config')
  return draft.finish()
}

/** Lets the old and the new voters decide together until `leaveJoint`. @throws {RaftError} ERR_CONF_CHANGE */
export function enterJoint(
  conf: ConfState,
  changes: readonly ConfChangeSingle[],
  { autoLeave }: { readonly autoLeave: boolean },
): ConfState {
  if (isJoint(conf)) throw illegal('config is already joint')
  if (conf.voters.length === 0) throw illegal("can't make a zero-voter config joint")
  const draft = new Draft(conf)
  draft.votersOutgoing = new Set(conf.voters)
  draft.apply(changes)
  draft.autoLeave = autoLeave
  return draft.finish()
}

/** Drops the old voters; those that are to be learners become learners. @throws {RaftError} ERR_CONF_CHANGE */
export function leaveJoint(conf: ConfState): ConfState {
  if (!isJoint(conf)) throw illegal("can't leave a non-joint config")
  return sortedConf({ voters: conf.voters, learners: [...conf.learners, ...conf.learnersNext] })
}

export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0
}

/** What must hold of every configuration. @throws {RaftError} ERR_CONF_CHANGE naming the claim that does not */
export function checkConf(conf: ConfState): void {
  for (const id of conf.learnersNext) {
    if (!conf.votersOutgoing.includes(id)) throw illegal(`${id} is in LearnersNext, but not in the outgoing voters`)
    if (conf.learners.includes(id)) throw illegal(`${id} is in LearnersNext, but is already a learner`)
    if (conf.voters.includes(id)) throw illegal(`${id} is in LearnersNext and a voter`)
  }
  for (const id of conf.learners) {
    if (conf.votersOutgoing.includes(id)) throw illegal(`${id} is a learner and an outgoing voter`)
    if (conf.voters.includes(id)) throw illegal(`${id} is a learner and a voter`)
  }
  if (isJoint(conf)) return
  if (conf.learnersNext.length > 0) throw illegal('LearnersNext must be empty when not joint')
  if (conf.autoLeave) throw illegal('AutoLeave must be false when not joint')
}

/** The same configuration with sorted members, each once. */
export function sortedConf(conf: Partial<ConfState>): ConfState {
  return {
    voters: sorted(conf.voters),
    votersOutgoing: sorted(conf.votersOutgoing),
    learners: sorted(conf.learners),
    learnersNext: sorted(conf.learnersNext),
    autoLeave: conf.autoLeave ?? false,
  }
}

function sorted(ids: Iterable<RaftId> = []): readonly RaftId[] {
  return [...new Set(ids)].sort((a, b) => a - b)
}

function illegal(message: string): RaftError {
  return new RaftError('ERR_CONF_CHANGE', message)
}

/** A configuration being changed. A member is whoever is in any of its sets. */
class Draft {
  voters: Set<RaftId>
  votersOutgoing: Set<RaftId>
  learners: Set<RaftId>
  learnersNext: Set<RaftId>
  autoLeave: boolean

  constructor(conf: ConfState) {
    this.voters = new Set(conf.voters)
    this.votersOutgoing = new Set(conf.votersOutgoing)
    this.learners = new Set(conf.learners)
    this.learnersNext = new Set(conf.learnersNext)
    this.autoLeave = conf.autoLeave
  }

  apply(changes: readonly ConfChangeSingle[]): void {
    for (const { type, nodeId } of changes) {
      // An application that vetoes a committed change empties its id; it then changes nothing.
      if (nodeId === NONE) continue
      if (type === 'v') this.#makeVoter(nodeId)
      else if (type === 'l') this.#makeLearner(nodeId)
      else if (type === 'r') this.#remove(nodeId)
    }
    if (this.voters.size === 0) throw illegal('removed all voters')
  }

  finish(): ConfState {
    const conf = sortedConf({
      voters: [...this.voters],
      votersOutgoing: [...this.votersOutgoing],
      learners: [...this.learners],
      learnersNext: [...this.learnersNext],
      autoLeave: this.autoLeave,
    })
    checkConf(conf)
    return conf
  }

  #makeVoter(id: RaftId): void {
    this.learners.delete(id)
    this.learnersNext.delete(id)
    this.voters.add(id)
  }

  #makeLearner(id: RaftId): void {
    this.voters.delete(id)
    // Still a voter of the old half: it may be a learner only once that half is left.
    if (this.votersOutgoing.has(id)) this.learnersNext.add(id)
    else this.learners.add(id)
  }

  #remove(id: RaftId): void {
    this.voters.delete(id)
    this.learners.delete(id)
    this.learnersNext.delete(id)
  }
}

/** The configuration in force, what the leader knows of each member, and the votes of the present election. */
export class Tracker implements Acknowledged {
  readonly #limits: InflightLimits
  #conf: ConfState = EMPTY_CONF
  #voters = new JointConfig([])
  readonly #progress = new Map<RaftId, Progress>()
  /** The members by ascending id. */
  #members: readonly Progress[] = []
  readonly #votes = new Map<RaftId, boolean>()

  constructor(limits: InflightLimits) {
    this.#limits = limits
  }

  get conf(): ConfState {
    return this.#conf
  }

  get voters(): JointConfig {
    return this.#voters
  }

  get members(): readonly Progress[] {
    return this.#members
  }

  get(id: RaftId): Progress | undefined {
    return this.#progress.get(id)
  }

  /** Puts a configuration in force. New members are probed at `lastIndex`; they probably need a snapshot anyway. */
  adopt(conf: ConfState, lastIndex: number): void {
    checkConf(conf)
    this.#conf = sortedConf(conf)
    this.#voters = new JointConfig(conf.voters, conf.votersOutgoing)
    const learners = new Set(conf.learners)
    const members = sorted([...conf.voters, ...conf.votersOutgoing, ...conf.learners])
    for (const id of this.#progress.keys()) if (!members.includes(id)) this.#progress.delete(id)
    for (const id of members) {
      const known = this.#progress.get(id)
      if (known !== undefined) {
        known.isLearner = learners.has(id)
        continue
      }
      const added = new Progress(id, Math.max(lastIndex, 1), learners.has(id), this.#limits)
      // It has had no chance to speak yet; the next check of the quorum must not count that against the leader.
      added.recentActive = true
      this.#progress.set(id, added)
    }
    this.#members = members.map((id) => this.#progress.get(id)!)
  }

  ackedIndex(id: RaftId): number {
    return this.#progress.get(id)?.match ?? 0
  }

  /** The highest index that is durable on a quorum of every half. */
  committedIndex(): number {
    return this.#voters.committedIndex(this)
  }

  /** True if a quorum was heard from since the last check. */
  quorumActive(): boolean {
    const active = new Map<RaftId, boolean>()
    for (const peer of this.#members) if (!peer.isLearner) active.set(peer.id, peer.recentActive)
    return this.#voters.voteResult(active) === 'VoteWon'
  }

  resetVotes(): void {
    this.#votes.clear()
  }

  /** Notes a vote; the first one of each voter counts. */
  recordVote(id: RaftId, vote: 'granted' | 'rejected'): void {
    if (!this.#votes.has(id)) this.#votes.set(id, vote === 'granted')
  }

  voteResult(): VoteResult {
    return this.#voters.voteResult(this.#votes)
  }
}
