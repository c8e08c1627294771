import { below, pick, type Random } from '../base/random.js'
import type { ConfChange, ConfChangeSingle, ConfState, RaftId } from '../raft/core/state.js'
import type { Checks } from './checks.js'
import { isJoint, membersOf } from './configurations.js'
import { nextRepair } from './operator.js'
import type { SimNetwork } from './sim-network.js'
import { numberToBytes, type SimNode } from './sim-node.js'
import { type SimPlan, TICK, type Trouble, type Work } from './sim-plan.js'
import type { SimEvent } from './sim-world.js'

/** What clients, operators and accidents see of the group. */
export interface SimGroup {
  readonly plan: SimPlan
  readonly nodes: readonly SimNode[]
  readonly network: SimNetwork
  readonly checks: Checks
  readonly now: number
  readonly trace: ((line: string) => void) | undefined
  /** The live leader of the highest term. */
  leader(): SimNode | undefined
  /** Starts a node that nobody knows yet; undefined when there are enough. */
  addNode(): SimNode | undefined
  /** The same for one that takes the place of another. */
  addSpare(): SimNode | undefined
  after(delay: number, event: SimEvent): void
}

/** Time units that a path stays clogged, at most: several elections. */
const CLOG_SPAN = 500
/** Time units that a node sleeps, at most; where others promised to wait for it, long enough for them to go on without it. */
const PAUSE = 300
const LONG_PAUSE = 1_000
/** The timers of a node that wakes run before its messages are read. */
const JUST_BEFORE = 0.001

/** What is asked of the group and what befalls it, drawn from the plan's weights. */
export class Workload {
  readonly #group: SimGroup
  readonly #random: Random
  #lastProposal = 0
  #lastRead = 0

  constructor(group: SimGroup, random: Random) {
    this.#group = group
    this.#random = random
  }

  /** One thing that a client or an operator does. */
  work(): void {
    const group = this.#group
    const act = draw(this.#random, group.plan.work)
    const node = this.#someNode()
    if (act === undefined || node === undefined) return
    group.trace?.(`      ${act} at ${node.id}`)
    switch (act) {
      case 'propose':
        for (let count = this.#random() < 0.1 ? 8 : 1; count > 0; count--) this.propose(node)
        return
      case 'membership':
        this.#changeMembership(group.leader() ?? node)
        return
      case 'transfer': {
        const target = pick(this.#random, node.config.voters)
        if (target !== undefined) node.act((core) => core.transferLeader(target))
        return
      }
      case 'read': {
        const request = ++this.#lastRead
        group.checks.readAsked(request)
        node.act((core) => core.readIndex(numberToBytes(request, 4)))
        return
      }
      case 'lease-read':
        // Whoever believes to lead is asked, also one that others have replaced.
        this.#readByLease(
          pick(
            this.#random,
            group.nodes.filter(({ view }) => view.isLeader),
          ) ?? node,
        )
        return
      case 'snapshot':
        node.snapshot()
        return
      case 'campaign':
        node.act((core) => core.campaign())
        return
      case 'forget-leader':
        node.act((core) => core.forgetLeader())
        return
    }
  }

  /** Proposes an entry that no other proposal equals. */
  propose(node: SimNode): void {
    const data = numberToBytes(++this.#lastProposal, 4 + below(this.#random, 20))
    node.act((core) => core.propose(data))
  }

  /** One thing that goes wrong, or is put right. */
  trouble(): void {
    const { plan, nodes, network, trace } = this.#group
    const act = draw(this.#random, plan.trouble)
    const ids = nodes.map((node) => node.id)
    const node = pick(this.#random, nodes)
    if (act === undefined || node === undefined) return
    trace?.(`      ${act}${act.startsWith('crash') || act === 'pause' || act === 'isolate' ? ` (${node.id})` : ''}`)
    switch (act) {
      case 'split':
        network.split(ids)
        return
      case 'one-way':
        network.splitOneWay(ids)
        return
      case 'isolate':
        network.isolate((this.#random() < 0.5 ? this.#group.leader() : undefined)?.id ?? node.id, ids)
        return
      case 'heal':
        network.heal()
        return
      case 'crash':
        this.#crash(node)
        return
      case 'crash-leader':
        this.#crash(this.#group.leader() ?? node)
        return
      case 'crash-all':
        for (const each of nodes) this.#crash(each)
        return
      case 'pause':
        this.#pause(this.#toPause(node), 20 + this.#random() * (plan.core.votePromise > 0 ? LONG_PAUSE : PAUSE))
        return
      case 'reset':
        this.#reset(node, pick(this.#random, nodes) ?? node)
        return
      case 'clog': {
        const other = pick(this.#random, nodes)
        const until = this.#group.now + 20 + this.#random() * CLOG_SPAN
        if (other !== undefined && other !== node) network.clog(node.id, other.id, until)
        return
      }
    }
  }

  #readByLease({ id, life }: SimNode): void {
    this.#group.after(0, { type: 'lease-read', node: id, life, request: ++this.#lastRead })
  }

  /** A leader that trusts its clocks is the one to put to sleep. */
  #toPause(node: SimNode): SimNode {
    if (this.#group.plan.work['lease-read'] === 0 || this.#random() < 0.5) return node
    return this.#group.leader() ?? node
  }

  #pause(node: SimNode, span: number): void {
    const { now, plan } = this.#group
    const isMachine = plan.suspendRate > 0 && this.#random() < plan.suspendRate
    node.pause(now + span, isMachine ? 'machine' : 'process')
    // What was asked meanwhile is read when it wakes, before anything that others have to say.
    if (plan.work['lease-read'] > 0) this.#readByLease(node)
    if (plan.hastyTimersRate === 0 || this.#random() >= plan.hastyTimersRate) return
    const ticks = Math.floor(span / TICK)
    this.#group.after(span - JUST_BEFORE, { type: 'wake', node: node.id, life: node.life, ticks })
  }

  /** A link breaks, one way or both or only for a moment, and its ends are told that the other one is dead. Both live. */
  #reset({ id: one }: SimNode, { id: other }: SimNode): void {
    const { network, plan } = this.#group
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      if (from === to) continue
      if (this.#random() < 0.5) network.cut(from, to)
      if (this.#random() < plan.refusalRate) this.#group.after(this.#random() * 5, { type: 'refused', node: from, by: to })
    }
  }

  #crash(node: SimNode): void {
    if (!node.isUp) return
    node.doom()
    const restTime = this.#random() < 0.5 ? 5 : 400
    this.#group.after(1 + this.#random() * restTime, { type: 'restart', node: node.id })
  }

  #someNode(): SimNode | undefined {
    const leader = this.#random() < 0.7 ? this.#group.leader() : undefined
    return leader ?? pick(this.#random, this.#group.nodes)
  }

  /** Replaces members that lost their logs, step by step; false when all have theirs. */
  repair(leader: SimNode): boolean {
    const { nodes } = this.#group
    const members = membersOf(leader.config)
    if (!nodes.some(({ id, isRetired }) => isRetired && members.includes(id))) return false
    const change = nextRepair(leader.config, leader.applied, nodes, () => this.#spare(leader.config))
    if (change !== undefined) leader.act((core) => core.proposeConfChange(change))
    return true
  }

  #changeMembership(node: SimNode): void {
    const { nodes } = this.#group
    // With a member lost for good, no other change: each could take a quorum of what is left.
    if (nodes.some(({ isRetired }) => isRetired) && (!node.view.isLeader || this.repair(node))) return
    const change = this.#nextChange(node.config)
    if (change !== undefined) node.act((core) => core.proposeConfChange(change))
  }

  #nextChange(config: ConfState): ConfChange | undefined {
    if (isJoint(config) && this.#random() < 0.9) return config.autoLeave ? undefined : { transition: 'auto', changes: [] }
    const count = this.#random() < 0.7 ? 1 : 2 + below(this.#random, 2)
    const changes: ConfChangeSingle[] = []
    for (let at = 0; at < count; at++) {
      const single = this.#nextSingle(config)
      if (single !== undefined && !changes.some(({ nodeId }) => nodeId === single.nodeId)) changes.push(single)
    }
    if (changes.length === 0) return undefined
    if (changes.length === 1 && this.#random() < 0.4) return { v1: true, changes }
    return { transition: pick(this.#random, ['auto', 'implicit', 'explicit'] as const) ?? 'auto', changes }
  }

  #nextSingle(config: ConfState): ConfChangeSingle | undefined {
    const { voters, learners } = config
    const type = pick(this.#random, ['v', 'v', 'l', 'l', 'r', 'promote', 'promote', 'demote', 'u'] as const)
    switch (type) {
      case 'promote':
        return single('v', pick(this.#random, learners))
      case 'demote':
        return voters.length > 2 ? single('l', pick(this.#random, voters)) : undefined
      case 'r':
        return voters.length > 2 ? single('r', pick(this.#random, membersOf(config))) : undefined
      case 'u':
        return single('u', pick(this.#random, voters))
      default:
        return type === undefined ? undefined : single(type, this.#newcomer(config))
    }
  }

  /** A node that has never been in a configuration: raft ids are not used again. */
  #newcomer(config: ConfState): RaftId | undefined {
    return (pick(this.#random, this.#unknown(config)) ?? this.#group.addNode())?.id
  }

  #spare(config: ConfState): RaftId | undefined {
    return (this.#unknown(config)[0] ?? this.#group.addSpare())?.id
  }

  #unknown(config: ConfState): readonly SimNode[] {
    const known = new Set(this.#group.checks.configs.flatMap((past) => membersOf(past.config)))
    for (const id of membersOf(config)) known.add(id)
    return this.#group.nodes.filter((node) => !known.has(node.id) && !node.isRetired)
  }
}

function single(type: 'v' | 'l' | 'r' | 'u', nodeId: RaftId | undefined): ConfChangeSingle | undefined {
  return nodeId === undefined ? undefined : { type, nodeId }
}

function draw<Name extends Work | Trouble>(random: Random, weights: Readonly<Record<Name, number>>): Name | undefined {
  let total = 0
  for (const name in weights) total += weights[name]
  let rest = random() * total
  for (const name in weights) {
    rest -= weights[name]
    if (rest < 0) return name
  }
  return undefined
}
