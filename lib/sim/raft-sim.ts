import { assert } from '../base/assert.js'
import { messageOf } from '../base/errors.js'
import { pick, type Random } from '../base/random.js'
import type { Message } from '../raft/core/messages.js'
import type { ConfState, RaftId } from '../raft/core/state.js'
import { BOOT_INDEX, type CheckName, Checks, type RunCounts, SimViolation } from './checks.js'
import { isJoint, membersOf } from './configurations.js'
import { EventQueue } from './event-queue.js'
import { SimNetwork } from './sim-network.js'
import { bootSnapshot, SimNode } from './sim-node.js'
import { calmed, chanceFor, type Ingredient, planFor, type SimPlan, TICK } from './sim-plan.js'
import type { SimEvent, SimHooks, SimWorld } from './sim-world.js'
import { canLose, chooseCore } from './survivors.js'
import { describeEvent } from './trace.js'
import { type SimGroup, Workload } from './workload.js'

export interface SimOptions {
  /** A whole number; the same one gives the same run. */
  readonly seed: number
  /** Events of the safety phase. Default 2,500. */
  readonly eventsMax?: number
  /** What is left out of the run. Default nothing. */
  readonly without?: Iterable<Ingredient>
  /** Checks that do not fail the run, to see what else notices. Default none. */
  readonly skip?: Iterable<CheckName>
  readonly hooks?: SimHooks
  /** Changes the plan that the seed gave, to look at one corner more closely. */
  readonly adjust?: (plan: SimPlan) => SimPlan
  /** Takes one line for everything that happens. */
  readonly trace?: (line: string) => void
}

export const EVENTS_DEFAULT = 2_500

/** What became of a run. */
export type Verdict =
  | { readonly outcome: 'held'; readonly seed: number; readonly step: number; readonly counts: RunCounts }
  | {
      readonly outcome: 'violated'
      readonly seed: number
      /** The event, counted from 1, after which a check failed. */
      readonly step: number
      readonly check: CheckName
      readonly message: string
      readonly error: unknown
    }

/**
 * Runs one simulated raft group from its seed: first a phase in which anything may fail and the safety claims are checked after
 * every event. Then, in many runs, one in which only as many nodes are healed as the group needs, and these have to lead, commit
 * and agree while the rest stays broken. At last a calm one in which all have to converge and go quiet.
 */
export function simulate(options: SimOptions): Verdict {
  const { seed } = options
  const sim = new RaftSim(options)
  try {
    sim.runTroubled()
    sim.runCore()
    sim.runCalm()
    return { outcome: 'held', seed, step: sim.step, counts: sim.checks.counts }
  } catch (error) {
    const check = error instanceof SimViolation ? error.check : 'core-threw'
    return { outcome: 'violated', seed, step: sim.step, check, message: messageOf(error), error }
  }
}

const NODES_MAX = 8
const LIVENESS_TIMEOUTS_MAX = 60
/** Time that the slowest settings may take to bring one entry to a node that lacks everything. */
const CATCH_UP_TICKS = 3
/** Events between two looks inside every node: what goes wrong there stays wrong, so it need not be every event. */
const INSPECT_EVERY = 16
const QUIET_TIMEOUTS = 5
const noConfig: ConfState = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
type NodeEvent = 'tick' | 'synced' | 'applied' | 'flush' | 'wake' | 'impatient' | 'lease-read' | 'turn' | 'restart'
/** Nodes beyond that many, to replace those that lost their logs. */
const SPARES_MAX = 6

/** A group and its world; `simulate` and `simulateFailover` run it. */
export class RaftSim implements SimWorld, SimGroup {
  plan: SimPlan
  step = 0
  readonly hooks: SimHooks
  readonly trace: ((line: string) => void) | undefined
  readonly checks: Checks
  readonly network: SimNetwork
  readonly nodes: SimNode[] = []
  readonly #queue = new EventQueue<SimEvent>()
  readonly #byId = new Map<RaftId, SimNode>()
  readonly #random: Random
  readonly #evidence: Random
  readonly #workload: Workload
  #isCalm = false
  /** The nodes that work in the phase in which others do not; all of them in the others. */
  #core: ReadonlySet<RaftId> | undefined
  #sent = 0

  constructor({ seed, eventsMax = EVENTS_DEFAULT, without = [], skip = [], hooks = {}, adjust, trace }: SimOptions) {
    const plan = planFor(seed, eventsMax, new Set(without))
    this.plan = adjust === undefined ? plan : adjust(plan)
    this.hooks = hooks
    this.trace = trace
    this.network = new SimNetwork(this.plan.network, chanceFor(seed, 1))
    this.#random = chanceFor(seed, 2)
    this.#evidence = chanceFor(seed, 9)
    this.#workload = new Workload(this, chanceFor(seed, 3))
    const voters = Array.from({ length: this.plan.nodes }, (_, at) => at + 1)
    const boot = bootSnapshot(BOOT_INDEX, voters)
    this.checks = new Checks(new Set(skip), boot)
    for (const id of voters) this.#addNode(new SimNode(id, this, boot))
  }

  get now(): number {
    return this.#queue.now
  }

  /** Phase one: troubles and work, every claim but liveness. */
  runTroubled(): void {
    for (const node of this.nodes) node.start()
    this.after(0, { type: 'work' })
    this.after(this.plan.troublePause, { type: 'trouble' })
    while (this.step < this.plan.eventsMax && this.next());
  }

  /** Phase two: a good world for a quorum only. It has to elect, commit and agree whatever the others do. */
  runCore(): void {
    if (!this.plan.isRestBroken) return
    const random = chanceFor(this.plan.seed, 5)
    const core = chooseCore(random, this.checks.configs, this.nodes)
    if (core === undefined) return
    this.trace?.(`      --- core ${[...core].join(',')}`)
    this.checks.counts.cores++
    this.#isCalm = true
    this.#core = core
    const timeout = this.plan.core.electionTick * TICK
    const calm = calmed(this.plan)
    this.network.heal() // a leader outside that reaches only a part of the core could keep it, and the others, for ever
    this.network.calmBetween(core, calm.network)
    this.#queue.hasten(20 * TICK)
    this.#breakRest(core, random)
    this.plan = { ...calm, network: this.plan.network }
    for (const node of this.nodes) if (core.has(node.id)) node.calm()
    const target = this.checks.lastCommitted + 1
    const longest = Math.max(...this.nodes.map((node) => node.view.log.lastIndex))
    const deadline = this.now + LIVENESS_TIMEOUTS_MAX * timeout + longest * CATCH_UP_TICKS * TICK
    this.#convergeCore(core, target, deadline)
    this.#core = undefined
  }

  /** Phase three: a good world; whatever the troubles left must become one working group again. */
  runCalm(): void {
    this.trace?.('      --- calm')
    this.#isCalm = true
    this.plan = calmed(this.plan)
    this.network.calm(this.plan.network)
    this.#queue.hasten(2 * TICK)
    for (const node of this.nodes) node.calm()
    const timeout = this.plan.core.electionTick * TICK
    const target = this.checks.lastCommitted + 1
    const longest = Math.max(...this.nodes.map((node) => node.view.log.lastIndex))
    const deadline = this.now + LIVENESS_TIMEOUTS_MAX * timeout + longest * CATCH_UP_TICKS * TICK
    if (this.#converge(target, deadline) === undefined) return
    const settled = this.now + 2 * timeout // an election or a transfer under way may still end
    while (this.now < settled && this.next());
    const leader = this.#converge(target, deadline + 2 * timeout)
    if (leader !== undefined) this.#runQuiet(leader)
  }

  after(delay: number, event: SimEvent): void {
    this.#queue.after(delay, event)
  }

  post(sender: RaftId, message: Message): void {
    this.#sent++
    const carried = this.hooks.carry === undefined ? message : this.hooks.carry(message)
    const carry = (delay: number, copy: Message): void => this.after(delay, { type: 'deliver', sender, message: copy })
    if (carried === undefined || !this.network.send(sender, carried, this.now, carry)) this.#lost(sender, message)
  }

  /** Those who had a connection to it find out, or not. */
  died(id: RaftId): void {
    const { refusalRate } = this.plan
    if (refusalRate === 0) return
    for (const node of this.nodes) {
      if (node.id === id || this.#evidence() >= refusalRate) continue
      if (this.network.isOpen(id, node.id)) this.after(this.#evidence() * 5, { type: 'refused', node: node.id, by: id })
    }
  }

  propose(node: SimNode): void {
    this.#workload.propose(node)
  }

  /** For what happens around the nodes. */
  chance(): number {
    return this.#evidence()
  }

  leader(): SimNode | undefined {
    let found: SimNode | undefined
    for (const node of this.nodes) {
      if (node.view.isLeader && (found === undefined || node.view.term > found.view.term)) found = node
    }
    return found
  }

  addNode(): SimNode | undefined {
    return this.nodes.length < NODES_MAX ? this.#start() : undefined
  }

  addSpare(): SimNode | undefined {
    return this.nodes.length < NODES_MAX + SPARES_MAX ? this.#start() : undefined
  }

  #start(): SimNode {
    const node = new SimNode(this.nodes.length + 1, this, undefined)
    this.#addNode(node)
    node.start()
    return node
  }

  #addNode(node: SimNode): void {
    this.nodes.push(node)
    this.#byId.set(node.id, node)
  }

  /** Takes one event; false when there is none. */
  next(): boolean {
    const event = this.#queue.next()
    if (event === undefined) return false
    this.step++
    this.trace?.(`${String(this.step).padStart(5)} ${this.now.toFixed(1)} ${describeEvent(event)}`)
    this.#handle(event)
    if (this.step % INSPECT_EVERY === 0) for (const node of this.nodes) node.inspect()
    return true
  }

  #handle(event: SimEvent): void {
    switch (event.type) {
      case 'work':
        if (this.#isCalm) return
        this.#workload.work()
        this.after(-Math.log(1 - this.#random()) * this.plan.workPause, event)
        return
      case 'trouble':
        if (this.#isCalm) return
        this.#workload.trouble()
        this.after(-Math.log(1 - this.#random()) * this.plan.troublePause, event)
        return
      case 'deliver':
        this.#deliver(event)
        return
      case 'unreachable':
        this.#byId.get(event.node)?.act((core) => core.reportUnreachable(event.to))
        return
      case 'refused':
        this.#refuse(event)
        return
      case 'snapshot-sent':
        this.#byId.get(event.node)?.act((core) => core.reportSnapshot(event.to, event.arrived))
        return
      default: {
        const node = this.#byId.get(event.node)
        if (node !== undefined) this.#handleAt(node, event)
      }
    }
  }

  #handleAt(node: SimNode, event: Extract<SimEvent, { type: NodeEvent }>): void {
    if (event.type === 'restart') {
      if (!this.#isCalm || this.#core?.has(node.id)) this.#restart(node)
      return
    }
    if (!node.isUp || node.life !== event.life) return
    if (event.type === 'wake') {
      node.wake(event.ticks)
      return
    }
    if (this.#isPostponed(node, event)) return
    switch (event.type) {
      case 'tick':
        node.tick()
        return
      case 'synced':
        node.synced()
        return
      case 'applied':
        node.appliedOne()
        return
      case 'flush':
        node.flush()
        return
      case 'impatient':
        node.impatient(event.responses)
        return
      case 'turn':
        node.turn()
        return
      case 'lease-read':
        this.checks.readAsked(event.request)
        node.readByLease(event.request)
    }
  }

  /** A node that finds its log damaged has to refuse it. Seldom enough that others keep what is committed. */
  #restart(node: SimNode): void {
    if (node.isRetired) return
    if (node.isUp) node.crash()
    const isSpared = this.#isCalm || this.nodes.length >= NODES_MAX + SPARES_MAX
    const damage = isSpared ? undefined : node.disk.damage()
    if (damage !== undefined && canLose(node, this.checks.configs, this.nodes)) {
      this.trace?.(`      ${node.id} finds its log damaged: ${JSON.stringify(damage)}`)
      if (node.retire(damage)) return
    }
    node.start()
  }

  #deliver(event: Extract<SimEvent, { type: 'deliver' }>): void {
    const { sender, message } = event
    const node = this.#byId.get(message.to)
    if (node === undefined || !node.isUp || !this.network.isOpen(sender, message.to)) {
      this.network.arrived(sender, message.to)
      this.#lost(sender, message)
      return
    }
    if (this.#isPostponed(node, event)) return
    this.network.arrived(sender, message.to)
    if (message.type === 'MsgSnap') this.#reportSnapshot(message, true)
    node.act((core) => core.step(message))
  }

  #refuse(event: Extract<SimEvent, { type: 'refused' }>): void {
    const node = this.#byId.get(event.node)
    if (node?.isUp && !this.#isPostponed(node, event)) node.refused(event.by)
  }

  /** What is due at a paused node happens when it wakes. */
  #isPostponed(node: SimNode, event: SimEvent): boolean {
    if (node.pausedUntil <= this.now) return false
    this.after(node.pausedUntil - this.now, event)
    return true
  }

  #lost(sender: RaftId, message: Message): void {
    if (message.type === 'MsgSnap') this.#reportSnapshot(message, false)
    else if (this.network.isLossNoticed()) {
      this.after(this.#random() * 20, { type: 'unreachable', node: sender, to: message.to })
    }
  }

  #reportSnapshot({ from, to }: Message, arrived: boolean): void {
    this.after(this.#random() * 20, { type: 'snapshot-sent', node: from, to, arrived })
  }

  /** Nodes that a leader knows to be removed are switched off, as their operator would; a late proposal may bring one back. */
  #switchNodes(): void {
    const leader = this.leader()
    // Not a stale leader: it might call removed whoever was added since.
    if (leader === undefined || leader.applied < this.checks.lastCommitted) return
    if (leader.view.log.termAt(leader.applied) !== leader.view.term) return
    const members = membersOf(leader.config)
    for (const node of this.nodes) {
      if (node.isRetired || members.includes(node.id) === node.isUp) continue
      if (!node.isUp) node.start()
      else if (this.checks.configs.some(({ config }) => membersOf(config).includes(node.id))) node.crash()
    }
  }

  /** What the rest suffers for as long as the core works. */
  #breakRest(core: ReadonlySet<RaftId>, random: Random): void {
    const ids = this.nodes.map(({ id }) => id)
    for (const node of this.nodes) {
      if (core.has(node.id)) continue
      const fate = pick(random, ['down', 'mute', 'deaf', 'isolated', 'lossy', 'asleep'] as const)
      this.trace?.(`      ${node.id} is ${fate}`)
      if (fate === 'down' && node.isUp) node.crash()
      else if (fate === 'mute') this.network.mute(node.id, ids)
      else if (fate === 'deaf') this.network.deafen(node.id, ids)
      else if (fate === 'isolated') this.network.isolate(node.id, ids)
      else if (fate === 'asleep') node.pause(Number.MAX_SAFE_INTEGER, 'process')
    }
  }

  /** Runs until all of the core have applied what was committed since; the deadline fails the run. */
  #convergeCore(core: ReadonlySet<RaftId>, target: number, deadline: number): void {
    const proposalPause = 2 * this.plan.core.electionTick * TICK
    let nextProposal = this.now
    for (;;) {
      const members = membersOf(this.leader()?.config ?? noConfig)
      const ours = this.nodes.filter(({ id }) => core.has(id) && members.includes(id))
      if (ours.length > 0 && ours.every(({ applied, leader }) => applied >= target && leader !== 0)) return
      if (this.now > deadline) {
        this.checks.fail('liveness', `core ${[...core].join(',')} makes no progress to ${target}: ${this.#picture()}`)
        return
      }
      const proposer = this.leader()
      if (proposer !== undefined && this.now >= nextProposal) {
        nextProposal = this.now + proposalPause
        this.#workload.propose(proposer)
      }
      assert(this.next(), 'ticks never end')
    }
  }

  /** The leader, once everybody in its configuration has applied everything it has, `target` included. */
  #converged(target: number): SimNode | undefined {
    const leader = this.leader()
    if (leader === undefined || leader.applied < target || leader.applied < leader.view.log.lastIndex) return undefined
    if (isJoint(leader.config) && leader.config.autoLeave) return undefined
    for (const id of membersOf(leader.config)) {
      const node = this.#byId.get(id)
      if (node === undefined || !node.isUp || node.applied !== leader.applied || node.leader !== leader.id) return undefined
    }
    return leader
  }

  /** Runs until everybody has what the leader has; the deadline fails the run, but for groups that are excused. */
  #converge(target: number, deadline: number): SimNode | undefined {
    const proposalPause = 2 * this.plan.core.electionTick * TICK
    let nextProposal = this.now
    for (;;) {
      this.#switchNodes()
      const leader = this.#converged(target)
      if (leader !== undefined) return leader
      if (this.now > deadline) return this.#failToConverge()
      const proposer = this.leader()
      if (proposer !== undefined && this.now >= nextProposal) {
        nextProposal = this.now + proposalPause
        this.#workload.propose(proposer)
        this.#workload.repair(proposer)
      }
      assert(this.next(), 'ticks never end')
    }
  }

  #failToConverge(): undefined {
    // Without either, a leader is not told that its follower has met a higher term; if that one may not campaign, both wait for ever.
    const { preVote, checkQuorum } = this.plan.core
    if (!preVote && !checkQuorum) return
    this.checks.fail('liveness', `no convergence within ${LIVENESS_TIMEOUTS_MAX} timeouts: ${this.#picture()}`)
  }

  /** A group with nothing to do keeps its leader and sends heartbeats and their answers only. */
  #runQuiet(leader: SimNode): void {
    const timeout = this.plan.core.electionTick * TICK
    const { term } = leader.view
    const end = this.now + QUIET_TIMEOUTS * timeout
    const members = membersOf(leader.config).length
    const sentBefore = this.#sent
    while (this.now < end && this.next());
    const sentMax = (QUIET_TIMEOUTS * this.plan.core.electionTick + 2) * 2 * members + 10 * members
    const sent = this.#sent - sentBefore
    if (!leader.view.isLeader || leader.view.term !== term)
      this.checks.fail('liveness', `${leader.id} loses term ${term} in a calm world`)
    if (sent > sentMax) this.checks.fail('liveness', `${sent} messages while idle, expected at most ${sentMax}`)
  }

  #picture(): string {
    return this.nodes
      .map(
        ({ id, isUp, view, applied }) =>
          `${id} ${isUp ? view.role : 'down'} term ${view.term} commit ${view.commit} applied ${applied} end ${view.log.lastIndex}`,
      )
      .join('; ')
  }
}
