import { compareBytes } from '../base/bytes.js'
import type { Message } from '../raft/core/messages.js'
import type { ConfState, Entry, RaftId, Ready, Snapshot } from '../raft/core/state.js'
import { configFault, configText, hasQuorum, quorumsMeet } from './configurations.js'
import { NodeView } from './node-view.js'
import type { SimDisk } from './sim-disk.js'

/** Every claim a run is held to. */
export const claims = {
  'election-safety': 'at most one node leads a term, and a quorum of every half voted for it (paper §5.2)',
  'vote-once': 'a node votes for at most one candidate in a term, across restarts',
  'leader-durable': 'whoever leads a term has it on disk, and so cannot lead it again with another log',
  'leader-append-only': 'a leader never overwrites or removes entries of its own log',
  'log-matching': 'entries with the same index and term are the same, and so is everything before them (paper §5.3)',
  'leader-completeness': 'a new leader holds everything committed in earlier terms (paper §5.4.3)',
  'state-machine-safety': 'all nodes apply the same committed entries, in order, without gaps',
  'commit-durable': 'what a leader commits is of its own term and durable on a quorum of every half',
  'persisted-before-send': 'a vote or an acknowledgement leaves only after what it promises is durable',
  monotonic: 'term, commit and match never fall, and match stays below next',
  configuration: 'configurations are legal, the same everywhere, change one step at a time, and their quorums meet',
  reads: 'a read sees everything committed before it was asked (thesis §6.4)',
  lease: 'who reads by its lease leads the newest term there is: while it holds, nobody else is elected (thesis §6.4.1)',
  'apply-stable': 'only durable entries are applied',
  'leader-kept': 'a leader that reaches a quorum goes on leading, whatever one link, or one node that slept, says of it',
  'quick-failover': 'a leader whose process died is replaced at once by those who are told',
  liveness: 'once the faults end, the group leads, commits, converges and goes quiet',
  'core-threw': 'the core throws nothing but its documented refusals',
} as const
export type CheckName = keyof typeof claims

/** A claim turned out false in a run. */
export class SimViolation extends Error {
  override readonly name = 'SimViolation'
  readonly check: CheckName
  constructor(check: CheckName, words: string) {
    super(words)
    this.check = check
  }
}

/** The index every simulated group starts at: a snapshot that holds the first configuration. */
export const BOOT_INDEX = 1

/** What happened in a run, so that a reader can see that it was not idle. */
export interface RunCounts {
  leaders: number
  commits: number
  configurations: number
  reads: number
  /** Reads that a leader answered by itself. */
  leaseReads: number
  restores: number
  /** Nodes that refused their logs. */
  retired: number
  /** Runs in which a part of the group had to work while the rest was broken. */
  cores: number
}

/**
 * The invariants, fed with everything nodes do and the disks hold. Each call costs about as much as what it looks at, so that
 * they can run after every event.
 *
 * Source: Ongaro 2014 figure 3.2 (the five properties), §4.3, §6.4.
 */
export class Checks {
  readonly counts: RunCounts = {
    leaders: 0,
    commits: 0,
    configurations: 0,
    reads: 0,
    leaseReads: 0,
    restores: 0,
    retired: 0,
    cores: 0,
  }
  readonly #skip: ReadonlySet<CheckName>
  readonly #views = new Map<RaftId, NodeView>()
  readonly #leaderOfTerm = new Map<number, RaftId>()
  #newestLedTerm = 0
  readonly #votes = new Map<number, RaftId>()
  readonly #entries = new Map<number, { readonly entry: Entry; readonly previousTerm: number }>()
  /** By index; nothing at and below BOOT_INDEX. */
  readonly #committed: Entry[] = []
  readonly #committedInTerm: number[] = []
  readonly #hashes: number[] = []
  readonly #configs: { readonly index: number; readonly config: ConfState; readonly text: string }[] = []
  readonly #reads = new Map<number, number>()
  #lastCommitted = BOOT_INDEX

  constructor(skip: ReadonlySet<CheckName>, boot: Snapshot) {
    this.#skip = skip
    this.#configs.push({ index: boot.index, config: boot.confState, text: configText(boot.confState) })
    this.#hashes[boot.index] = 0
  }

  /** The highest index any leader has committed. */
  get lastCommitted(): number {
    return this.#lastCommitted
  }

  /** Committed configurations, oldest first. */
  get configs(): readonly { readonly index: number; readonly config: ConfState }[] {
    return this.#configs
  }

  /** Throws unless this check is left out of the run. */
  fail(check: CheckName, words: string): void {
    if (!this.#skip.has(check)) throw new SimViolation(check, words)
  }

  watch(id: RaftId, disk: SimDisk): NodeView {
    const view = new NodeView(id, disk)
    this.#views.set(id, view)
    return view
  }

  /** Looks at a Ready before anything of it is carried out. */
  ready(view: NodeView, ready: Ready, config: ConfState): void {
    const { hardState, softState, snapshot, entries } = ready
    const termBefore = view.term
    if (hardState !== undefined) {
      if (hardState.term < view.term) this.fail('monotonic', `${view.id}: term falls from ${view.term} to ${hardState.term}`)
      if (hardState.commit < view.commit) {
        this.fail('monotonic', `${view.id}: commit falls from ${view.commit} to ${hardState.commit}`)
      }
      view.term = hardState.term
    }
    const ledBefore = view.role === 'StateLeader' && view.term === termBefore
    if (softState !== undefined) view.role = softState.raftState
    if (snapshot !== undefined && snapshot.index > 0) this.#announceSnapshot(view, snapshot, ledBefore)
    if (entries.length > 0) this.#announceEntries(view, entries, ledBefore)
    if (view.role === 'StateLeader' && view.ledTerm !== view.term) this.#becameLeader(view, config)
    if (hardState !== undefined) this.commit(view, hardState.commit, config)
  }

  /** Looks at a node's commit index; `config` is the configuration it has applied. */
  commit(view: NodeView, commit: number, config: ConfState): void {
    if (commit <= view.commit) return
    view.commit = commit
    const term = view.log.termAt(commit)
    if (commit > this.#lastCommitted) {
      if (view.role !== 'StateLeader') {
        this.fail(
          'commit-durable',
          `${view.id}: follows with commit ${commit}, but no leader committed past ${this.#lastCommitted}`,
        )
      }
      this.#leaderCommits(view, commit, term, config)
    } else if (commit > BOOT_INDEX && term !== undefined && term !== this.#committed[commit]?.term) {
      this.fail('log-matching', `${view.id}: commits ${term}/${commit}, the group ${this.#committed[commit]?.term}/${commit}`)
    }
  }

  /** Looks at a message that leaves a node, also one to itself. */
  sends(view: NodeView, message: Message): void {
    if (view.isRetired) this.fail('vote-once', `${view.id}: speaks although it refused its log`)
    if (message.reject) return
    if (message.type === 'MsgVoteResp') this.#sendsVote(view, message)
    else if (message.type === 'MsgAppResp') this.#sendsAcknowledgement(view, message)
  }

  /** Takes a node that refused its log for gone. */
  retires(view: NodeView): void {
    view.isRetired = true
    this.counts.retired++
  }

  /** Looks at what a disk holds after a sync. */
  synced(view: NodeView): void {
    const { term, vote } = view.disk.hardState
    if (vote !== 0) this.#voted(view.id, term, vote)
  }

  /** Looks at an entry that the state machine has just applied; `hash` is over everything applied so far. */
  applies(view: NodeView, entry: Entry, hash: number): void {
    const { index, term } = entry
    if (index !== view.applied + 1) {
      this.fail('state-machine-safety', `${view.id}: applies ${index} after ${view.applied}`)
    }
    view.applied = index
    const committed = this.#committed[index]
    if (committed === undefined) this.fail('state-machine-safety', `${view.id}: applies ${term}/${index}, which nobody committed`)
    else if (!isSameEntry(committed, entry)) {
      this.fail(
        'state-machine-safety',
        `${view.id}: applies another entry at ${index}: ${term}/${index}, not ${committed.term}/${index}`,
      )
    }
    if (!view.disk.covers(index, term)) this.fail('apply-stable', `${view.id}: applies ${term}/${index} before it is durable`)
    this.#sameHash(view, index, hash)
  }

  /** Looks at the configuration a node reached by applying the change at `index`. */
  configured(view: NodeView, index: number, config: ConfState): void {
    const fault = configFault(config)
    if (fault !== undefined) this.fail('configuration', `${view.id}: ${configText(config)} at ${index}: ${fault}`)
    const latest = this.#configs[this.#configs.length - 1]
    if (latest === undefined || index > latest.index) {
      if (latest !== undefined && !quorumsMeet(latest.config, config)) {
        this.fail('configuration', `${view.id}: quorums of ${configText(latest.config)} and ${configText(config)} need not meet`)
      }
      this.#configs.push({ index, config, text: configText(config) })
      this.counts.configurations++
    } else this.#sameConfig(view, index, config)
  }

  /** Looks at a state machine that was replaced by a snapshot. */
  restores(view: NodeView, snapshot: Snapshot, hash: number): void {
    this.counts.restores++
    if (snapshot.index < view.applied) {
      this.fail('state-machine-safety', `${view.id}: restores ${snapshot.index} over ${view.applied}`)
    }
    view.applied = snapshot.index
    this.#sameHash(view, snapshot.index, hash)
    this.#sameConfig(view, snapshot.index, snapshot.confState)
  }

  readAsked(request: number): void {
    this.#reads.set(request, this.#lastCommitted)
  }

  readAnswered(view: NodeView, request: number, index: number): void {
    const floor = this.#reads.get(request)
    this.counts.reads++
    if (floor === undefined) this.fail('reads', `${view.id}: answers read ${request}, which nobody asked`)
    else if (index < floor) this.fail('reads', `${view.id}: read ${request} answered at ${index}, ${floor} was committed before`)
  }

  readByLease(view: NodeView, request: number, index: number): void {
    this.counts.leaseReads++
    if (view.term < this.#newestLedTerm) {
      this.fail('lease', `${view.id}: reads by its lease of term ${view.term}, term ${this.#newestLedTerm} has a leader`)
    }
    this.readAnswered(view, request, index)
  }

  /** Looks at one follower as its leader sees it. */
  progress(view: NodeView, follower: RaftId, match: number, next: number): void {
    if (view.matchesTerm !== view.term) {
      view.matches.clear()
      view.matchesTerm = view.term
    }
    const name = `${view.id}: of ${follower}`
    if (match >= next) this.fail('monotonic', `${name}: match ${match}, next ${next}`)
    if (match > view.log.lastIndex)
      this.fail('monotonic', `${name}: match ${match} beyond the leader's end ${view.log.lastIndex}`)
    if (match < (view.matches.get(follower) ?? 0)) this.fail('monotonic', `${name}: match falls to ${match}`)
    view.matches.set(follower, match)
    const disk = this.#views.get(follower)?.disk
    const term = view.log.termAt(match)
    // A leader trusts its own log of earlier terms before it is durable; only entries of its own term count.
    if (follower === view.id && term !== view.term) return
    if (disk === undefined || term === undefined || disk.hardState.term > view.term) return
    if (!disk.covers(match, term)) this.fail('persisted-before-send', `${name}: match ${match}, which it has not on disk`)
  }

  #announceSnapshot(view: NodeView, { index, term }: Snapshot, ledBefore: boolean): void {
    if (ledBefore) this.fail('leader-append-only', `${view.id}: leads and restores a snapshot at ${index}`)
    const committed = this.#committed[index]
    if (index > this.#lastCommitted || (committed !== undefined && committed.term !== term)) {
      this.fail('state-machine-safety', `${view.id}: takes a snapshot at ${term}/${index}, which nobody committed`)
    }
    view.log.reset(index, term)
  }

  #announceEntries(view: NodeView, entries: readonly Entry[], ledBefore: boolean): void {
    const first = (entries[0] as Entry).index
    const { lastIndex } = view.log
    if (first > lastIndex + 1) this.fail('log-matching', `${view.id}: entries from ${first} leave a gap after ${lastIndex}`)
    if (ledBefore && first <= lastIndex)
      this.fail('leader-append-only', `${view.id}: leads and overwrites ${first} of ${lastIndex}`)
    if (first <= view.commit) this.fail('log-matching', `${view.id}: overwrites committed entries from ${first}`)
    for (const entry of entries) {
      this.#matches(view, entry)
      if (entry.type !== 'EntryNormal' && view.role === 'StateLeader' && entry.term === view.term) this.#oneChange(view, entry)
      view.log.put(entry)
    }
  }

  #matches(view: NodeView, entry: Entry): void {
    const previousTerm = view.log.termAt(entry.index - 1)
    if (previousTerm === undefined) return
    const key = keyOf(entry.index, entry.term)
    const known = this.#entries.get(key)
    if (known === undefined) this.#entries.set(key, { entry, previousTerm })
    else if (!isSameEntry(known.entry, entry) || known.previousTerm !== previousTerm) {
      this.fail('log-matching', `${view.id}: ${entry.term}/${entry.index} after term ${previousTerm} is another than known`)
    }
    if (entry.term < previousTerm) this.fail('log-matching', `${view.id}: terms fall at ${entry.index}`)
  }

  #oneChange(view: NodeView, { index }: Entry): void {
    const before = view.log.confIndexBefore(index)
    if (before > view.applied) {
      this.fail('configuration', `${view.id}: leads and adds a change at ${index}, the one at ${before} is not applied`)
    }
  }

  #becameLeader(view: NodeView, config: ConfState): void {
    const { id, term } = view
    view.ledTerm = term
    this.counts.leaders++
    const known = this.#leaderOfTerm.get(term)
    if (known !== undefined && known !== id) this.fail('election-safety', `${id} and ${known} both lead term ${term}`)
    this.#leaderOfTerm.set(term, id)
    this.#newestLedTerm = Math.max(this.#newestLedTerm, term)
    if (!hasQuorum(config, (voter) => this.#votes.get(keyOf(voter, term)) === id)) {
      this.fail('election-safety', `${id}: leads term ${term} without votes of a quorum of ${configText(config)}`)
    }
    const durable = view.disk.hardState
    if (durable.term < term || (durable.term === term && durable.vote !== id)) {
      this.fail('leader-durable', `${id}: leads term ${term}, its disk says term ${durable.term}, vote ${durable.vote}`)
    }
    for (let index = this.#lastCommitted; index > BOOT_INDEX; index--) {
      if ((this.#committedInTerm[index] as number) >= term) continue
      this.#holds(view, index)
      break // log matching says the rest
    }
  }

  #holds(view: NodeView, index: number): void {
    const expected = this.#committed[index]?.term
    const term = view.log.termAt(index)
    if (term === expected || (term === undefined && index <= view.log.lastIndex)) return
    this.fail('leader-completeness', `${view.id}: leads term ${view.term} without ${expected}/${index}, committed before`)
  }

  #leaderCommits(view: NodeView, commit: number, term: number | undefined, config: ConfState): void {
    const { id } = view
    if (term !== view.term) this.fail('commit-durable', `${id}: leads term ${view.term} and commits ${term}/${commit}`)
    const isDurableOn = (node: RaftId): boolean => this.#views.get(node)?.disk.covers(commit, term ?? 0) ?? false
    if (!hasQuorum(config, isDurableOn)) {
      this.fail('commit-durable', `${id}: commits ${term}/${commit}, not durable on a quorum of ${configText(config)}`)
    }
    for (let index = this.#lastCommitted + 1; index <= commit; index++) {
      const known = this.#entries.get(keyOf(index, view.log.termAt(index) ?? 0))
      if (known === undefined) {
        this.fail('commit-durable', `${id}: commits ${index}, which it never announced`)
        return
      }
      this.#committed[index] = known.entry
      this.#committedInTerm[index] = view.term
    }
    this.counts.commits += commit - this.#lastCommitted
    this.#lastCommitted = commit
    for (const other of this.#views.values()) if (other.isLeader && other.term > view.term) this.#holds(other, commit)
  }

  #sendsVote(view: NodeView, { term, to }: Message): void {
    const durable = view.disk.hardState
    if (durable.term < term || (durable.term === term && durable.vote !== to)) {
      const words = `${view.id}: votes for ${to} in term ${term}, its disk says term ${durable.term}, vote ${durable.vote}`
      this.fail('persisted-before-send', words)
    }
    this.#voted(view.id, term, to)
  }

  #sendsAcknowledgement(view: NodeView, { term, index, to }: Message): void {
    const durable = view.disk.hardState
    if (durable.term > term) return
    const what = `${view.id}: acknowledges ${index} to ${to} in term ${term}`
    if (durable.term < term) this.fail('persisted-before-send', `${what}, its disk says term ${durable.term}`)
    const leader = this.#views.get(to)
    const leaderTerm = leader?.isLeader === true && leader.term === term ? leader.log.termAt(index) : undefined
    const isHeld = leaderTerm === undefined ? index <= view.disk.storage.lastIndex() : view.disk.covers(index, leaderTerm)
    if (!isHeld)
      this.fail('persisted-before-send', `${what}, its disk ends at ${view.disk.storage.lastIndex()} or holds another term there`)
  }

  #voted(node: RaftId, term: number, candidate: RaftId): void {
    const key = keyOf(node, term)
    const known = this.#votes.get(key)
    if (known === undefined) this.#votes.set(key, candidate)
    else if (known !== candidate) this.fail('vote-once', `${node} votes for ${known} and ${candidate} in term ${term}`)
  }

  #sameHash(view: NodeView, index: number, hash: number): void {
    const known = this.#hashes[index]
    if (known === undefined) this.#hashes[index] = hash
    else if (known !== hash) this.fail('state-machine-safety', `${view.id}: another state than the others at ${index}`)
  }

  #sameConfig(view: NodeView, index: number, config: ConfState): void {
    for (let at = this.#configs.length - 1; at >= 0; at--) {
      const known = this.#configs[at]
      if (known === undefined || known.index > index) continue
      const text = configText(config)
      if (known.text !== text) this.fail('configuration', `${view.id}: ${text} at ${index}, the others ${known.text}`)
      return
    }
  }
}

function keyOf(index: number, term: number): number {
  return index * 65_536 + term
}

function isSameEntry(one: Entry, other: Entry): boolean {
  if (one === other) return true
  return one.term === other.term && one.type === other.type && compareBytes(one.data, other.data) === 0
}
