/** Proof that the simulation can fail: each lie of a node, disk or network breaks a claim, and the check of that claim says so. */
import t from 'tap'
import {
  type MemoryStorageStart,
  type Message,
  type Moment,
  makeMessage,
  type RaftId,
  RawNode,
  type ReadState,
  type Ready,
} from '../../lib/raft/core/index.js'
import { Lease } from '../../lib/raft/core/lease.js'
import {
  type CheckName,
  claims,
  type Incident,
  type SimCoreConfig,
  type SimHooks,
  type SimOptions,
  type SimPlan,
  simulate,
  simulateFailover,
} from '../../lib/sim/index.js'
import { younger } from './raft-seeds.js'

interface Mutant extends Omit<SimOptions, 'seed'> {
  readonly name: string
  readonly breaks: CheckName
  /** Broken in a group to which only this happens. */
  readonly incident?: Incident
  /** The first seed to look at, 1 unless given: of a lie that few runs notice. */
  readonly from?: number
  /** Seeds within which the lie must be noticed. */
  readonly within: number
}

/** Nodes built by `create` in place of honest ones. */
function nodes(create: (config: SimCoreConfig) => RawNode): SimHooks {
  return { createCore: create }
}

/** Applies `change` to what leaves a node, also behind a write. */
function outgoing(ready: Ready, change: (message: Message) => Message): Ready {
  const messages = ready.messages.map((message) => {
    if (message.responses.length === 0) return change(message)
    return { ...message, responses: message.responses.map((response) => (response.to > 0 ? change(response) : response)) }
  })
  return { ...ready, messages }
}

class AcknowledgesTooMuch extends RawNode {
  override ready(): Ready {
    return outgoing(super.ready(), (m) => (m.type === 'MsgAppResp' && !m.reject ? { ...m, index: m.index + 1 } : m))
  }
}

class CountsRefusalsAsVotes extends RawNode {
  override step(m: Message): void {
    super.step(m.type === 'MsgVoteResp' ? { ...m, reject: false } : m)
  }
}

class VotesForShortLogs extends RawNode {
  override step(m: Message): void {
    super.step(m.type === 'MsgVote' ? { ...m, logTerm: m.term, index: Number.MAX_SAFE_INTEGER } : m)
  }
}

class BelievesEverythingAcknowledged extends RawNode {
  override step(m: Message): void {
    const all = this.raft.state === 'StateLeader' && m.type === 'MsgAppResp' && m.term === this.raft.term
    super.step(all ? { ...m, reject: false, index: this.raft.log.lastIndex() } : m)
  }
}

class RewritesItsLastEntry extends RawNode {
  override ready(): Ready {
    const { raft } = this
    const last = raft.log.lastIndex() - 1
    const ready = super.ready()
    if (raft.state !== 'StateLeader' || ready.entries[0]?.index !== last + 1) return ready
    const term = raft.log.term(last)
    if (term !== raft.term || last <= raft.log.committed) return ready
    return { ...ready, entries: [...raft.log.slice(last, last + 1, 1), ...ready.entries] }
  }
}

class AppliesBeforeTheWrite extends RawNode {
  override ready(): Ready {
    const { log, id } = this.raft
    const ready = super.ready()
    const early = ready.entries.filter((entry) => entry.index <= log.committed)
    if (!this.raft.options.asyncStorageWrites || early.length === 0) return ready
    return { ...ready, messages: [...ready.messages, makeMessage('MsgStorageApply', id, -2, 0, { entries: early })] }
  }
}

class AnswersReadsAlone extends RawNode {
  readonly #answers: ReadState[] = []
  override readIndex(requestCtx: Uint8Array): void {
    this.#answers.push({ index: this.raft.log.committed, requestCtx })
  }
  override hasReady(): boolean {
    return this.#answers.length > 0 || super.hasReady()
  }
  override ready(): Ready {
    return { ...super.ready(), readStates: this.#answers.splice(0) }
  }
}

class CountsFromTheLastBeat extends Lease {
  #made = 0
  #left = 0
  override nextBeat(): number {
    this.#made = super.nextBeat()
    return this.#made
  }
  override leaves(at: Moment): void {
    super.leaves(at)
    this.#left = this.#made
  }
  override promised(id: RaftId, _beat: number, lengthMs: number): void {
    super.promised(id, this.#left, lengthMs)
  }
}

class CountsItsLeaseFromTheLastBeat extends RawNode {
  override heartbeatsLeave(at: Moment): void {
    if (!(this.raft.lease instanceof CountsFromTheLastBeat)) this.raft.lease = new CountsFromTheLastBeat()
    super.heartbeatsLeave(at)
  }
}

class LetsCommitFall extends RawNode {
  override ready(): Ready {
    const ready = super.ready()
    if (ready.hardState === undefined || ready.hardState.commit % 5 !== 0) return ready
    return { ...ready, hardState: { ...ready.hardState, commit: ready.hardState.commit - 2 } }
  }
}

class IgnoresConfigurations extends RawNode {
  override applyConfChange(): ReturnType<RawNode['applyConfChange']> {
    return this.status().config
  }
}

class Chatters extends RawNode {
  override ready(): Ready {
    const ready = super.ready()
    const beats = ready.messages.filter((m) => m.type === 'MsgHeartbeat')
    return { ...ready, messages: [...ready.messages, ...beats, ...beats, ...beats, ...beats] }
  }
}

class Breaks extends RawNode {
  override tick(): void {
    if (this.raft.term > 3) throw new Error('a mistake in the core')
    super.tick()
  }
}

const mutants: readonly Mutant[] = [
  {
    name: 'a disk that answers before it has synced',
    breaks: 'persisted-before-send',
    within: 20,
    hooks: { diskAnswers: 'at-once' },
  },
  {
    name: 'a disk that loses synced entries in a crash',
    breaks: 'persisted-before-send',
    within: 50,
    hooks: { found: loseTwoEntries },
  },
  {
    name: 'a node that forgets its vote when it restarts',
    breaks: 'vote-once',
    within: 200,
    hooks: { found: forgetVote },
  },
  {
    name: 'a node that finds its term without the vote that belongs to it, seen only from who leads',
    breaks: 'election-safety',
    within: 200,
    skip: ['vote-once'],
    adjust: crashesAndCampaigns,
    hooks: { found: forgetVote },
  },
  {
    name: 'a follower that acknowledges entries it does not have',
    breaks: 'persisted-before-send',
    within: 20,
    hooks: nodes((config) => new AcknowledgesTooMuch(config)),
  },
  {
    name: 'a leader that believes everything acknowledged, seen only from what it commits,',
    breaks: 'commit-durable',
    within: 20,
    skip: ['persisted-before-send'],
    hooks: nodes((config) => new BelievesEverythingAcknowledged(config)),
  },
  {
    name: 'a candidate that counts refusals as votes',
    breaks: 'election-safety',
    within: 200,
    skip: ['leader-completeness'],
    hooks: nodes((config) => new CountsRefusalsAsVotes(config)),
  },
  {
    name: 'a candidate that asks for votes before its term is durable, as etcd does with asynchronous storage',
    breaks: 'leader-durable',
    within: 200,
    hooks: nodes((config) => new RawNode({ ...config, electionsAsInEtcd: true })),
  },
  {
    name: 'a candidate that asks for votes before its term is durable, seen only from the logs that come of it,',
    breaks: 'log-matching',
    within: 100,
    skip: ['leader-durable'],
    adjust: leadersDieBeforeTheirDisks,
    hooks: nodes((config) => new RawNode({ ...config, electionsAsInEtcd: true })),
  },
  {
    name: 'a voter that does not compare logs',
    breaks: 'leader-completeness',
    within: 200,
    hooks: nodes((config) => new VotesForShortLogs(config)),
  },
  {
    name: 'a leader that writes its last entry again',
    breaks: 'leader-append-only',
    within: 20,
    hooks: nodes((config) => new RewritesItsLastEntry(config)),
  },
  {
    name: 'a network that alters entries',
    breaks: 'log-matching',
    within: 20,
    hooks: { carry: alterEntries },
  },
  {
    name: 'a network that alters terms',
    breaks: 'leader-completeness',
    within: 200,
    hooks: { carry: (m) => (m.type === 'MsgVote' ? { ...m, logTerm: m.logTerm + 1 } : m) },
  },
  {
    name: 'a node that applies an entry before it is written',
    breaks: 'apply-stable',
    within: 200,
    hooks: nodes((config) => new AppliesBeforeTheWrite(config)),
  },
  {
    name: 'a state machine that is not deterministic',
    breaks: 'state-machine-safety',
    within: 20,
    hooks: { apply: (entry, node) => (node === 2 ? { ...entry, data: new Uint8Array([node]) } : entry) },
  },
  {
    name: 'an applier that leaves out an entry',
    breaks: 'state-machine-safety',
    within: 20,
    hooks: { apply: (entry, node) => (node === 2 && entry.index === 9 ? undefined : entry) },
  },
  {
    name: 'a commit index that falls',
    breaks: 'monotonic',
    within: 20,
    hooks: nodes((config) => new LetsCommitFall(config)),
  },
  {
    name: 'a node that ignores configuration changes',
    breaks: 'configuration',
    within: 50,
    hooks: nodes((config) => (config.id === 2 ? new IgnoresConfigurations(config) : new RawNode(config))),
  },
  {
    name: 'a snapshot that carries the configuration of another index',
    breaks: 'configuration',
    within: 200,
    hooks: { carry: alterSnapshots },
  },
  {
    name: 'a node that answers reads without asking a quorum',
    breaks: 'reads',
    within: 50,
    hooks: nodes((config) => new AnswersReadsAlone(config)),
  },
  {
    name: 'a leader that counts a promise from its last heartbeat, not from the one that was answered,',
    breaks: 'lease',
    from: 2_455,
    within: 10,
    without: [],
    hooks: nodes((config) => new CountsItsLeaseFromTheLastBeat(config)),
  },
  {
    name: 'a network that never carries an acknowledgement',
    breaks: 'liveness',
    within: 5,
    hooks: { carry: (m) => (m.type === 'MsgAppResp' ? undefined : m) },
  },
  {
    name: 'a leader that sends every heartbeat five times',
    breaks: 'liveness',
    within: 20,
    hooks: nodes((config) => new Chatters(config)),
  },
  {
    name: 'a node that believes the end of its link to be the end of the leader, and asks nobody before it raises its term,',
    breaks: 'leader-kept',
    within: 20,
    incident: 'broken-link',
    hooks: nodes((config) => new RawNode({ ...config, preVote: false, checkQuorum: false })),
  },
  {
    name: 'a node that does not believe that its leader is dead',
    breaks: 'quick-failover',
    within: 5,
    incident: 'leader-dies',
    hooks: { evidence: 'ignored' },
  },
  {
    name: 'a core that throws',
    breaks: 'core-threw',
    within: 20,
    hooks: nodes((config) => new Breaks(config)),
  },
]

function forgetVote(start: MemoryStorageStart): MemoryStorageStart {
  const { term = 0, commit = 0 } = start.hardState ?? {}
  return { ...start, hardState: { term, vote: 0, commit } }
}

function loseTwoEntries(start: MemoryStorageStart): MemoryStorageStart {
  const entries = start.entries?.slice(0, -2) ?? []
  const { term = 0, vote = 0, commit = 0 } = start.hardState ?? {}
  return { ...start, entries, hardState: { term, vote, commit: Math.min(commit, (start.snapshot?.index ?? 0) + entries.length) } }
}

const noTrouble: SimPlan['trouble'] = {
  split: 0,
  'one-way': 0,
  isolate: 0,
  heal: 1,
  crash: 0,
  'crash-leader': 0,
  'crash-all': 0,
  pause: 0,
  clog: 0,
  reset: 0,
}

function crashesAndCampaigns(plan: SimPlan): SimPlan {
  const core = { ...plan.core, preVote: false, checkQuorum: false }
  return { ...plan, nodes: 3, core, troublePause: 15, work: { ...plan.work, campaign: 6 }, trouble: { ...noTrouble, crash: 5 } }
}

function leadersDieBeforeTheirDisks(plan: SimPlan): SimPlan {
  return {
    ...plan,
    nodes: 3,
    core: { ...plan.core, asyncStorageWrites: true, preVote: false, checkQuorum: false, electionTick: 6 },
    network: { ...plan.network, lossRate: 0, duplicateRate: 0, delayMean: 3, strayRate: 0 },
    disk: { ...plan.disk, syncMean: 25, tornRate: 0 },
    lateFlushRate: 0,
    workPause: 8,
    troublePause: 30,
    work: { propose: 10, membership: 0, transfer: 0, read: 0, snapshot: 0, campaign: 1, 'forget-leader': 0, 'lease-read': 0 },
    trouble: { ...noTrouble, 'crash-leader': 3, heal: 0 },
  }
}

function alterEntries(m: Message): Message {
  if (m.type !== 'MsgApp' || m.index % 5 !== 0) return m
  return {
    ...m,
    entries: m.entries.map((entry) => (entry.type === 'EntryNormal' ? { ...entry, data: new Uint8Array([m.to]) } : entry)),
  }
}

function alterSnapshots(m: Message): Message {
  if (m.snapshot === null) return m
  const { voters } = m.snapshot.confState
  const confState = { ...m.snapshot.confState, voters: voters.length > 1 ? voters.filter((id) => id !== m.from) : voters }
  return { ...m, snapshot: { ...m.snapshot, confState } }
}

for (const { name, breaks, from = 1, within, incident, ...options } of mutants) {
  t.test(`${name} breaks the claim that ${claims[breaks]}`, (t) => {
    for (let seed = from; seed < from + within; seed++) {
      const verdict =
        incident === undefined
          ? simulate({ without: younger, ...options, seed })
          : simulateFailover({ ...(options.hooks === undefined ? {} : { hooks: options.hooks }), incident, seed })
      if (verdict.outcome === 'held') continue
      t.comment(`seed ${seed} step ${verdict.step}: ${verdict.message}`)
      t.equal(verdict.check, breaks)
      t.end()
      return
    }
    t.fail(`not noticed within ${within} seeds`)
    t.end()
  })
}

t.test('every claim is broken by some lie', (t) => {
  t.same([...new Set(mutants.map(({ breaks }) => breaks))].sort(), Object.keys(claims).sort())
  t.end()
})
