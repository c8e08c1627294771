import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { isTerminal, rank, type Task } from '../../lib/model/task.js'
import { isCurrent, planEnforcement, planReaping, planServices, runPlanner } from '../../lib/orchestrator/index.js'
import { groupKeyOf, meetsConstraints, planPlacement } from '../../lib/scheduler/index.js'
import { brokenInvariants } from '../../lib/store/invariants.js'
import { BenchCluster, type ServiceShape } from './bench-cluster.js'

/** Something that happens to the cluster; numbers pick among what there is. */
type Event =
  | { readonly type: 'down' | 'up' | 'unknown' | 'drain' | 'pause' | 'activate' | 'remove-node'; readonly node: number }
  | { readonly type: 'relabel'; readonly node: number; readonly zone: string }
  | { readonly type: 'add-node'; readonly cpus: number; readonly zone: string }
  | { readonly type: 'end'; readonly task: number; readonly state: 'failed' | 'rejected' | 'complete' | 'shutdown' }
  | { readonly type: 'scale'; readonly service: number; readonly replicas: number }
  | { readonly type: 'reprogram' | 'remove-service'; readonly service: number }
  | { readonly type: 'replace'; readonly service: number; readonly zone: string | undefined }
  | { readonly type: 'wait'; readonly ms: number }
  /** The leader plans, but only so many operations of its plan are committed: it lost the lead. */
  | { readonly type: 'cut'; readonly ops: number }
  /** Only every so-manieth task gets on for a while. */
  | { readonly type: 'slow'; readonly every: number }

interface Wish {
  readonly replicas: number
  readonly cpus: number
  readonly zone: string | undefined
  readonly maxPerNode: number
  readonly delayMs: number
  readonly program: number
}

const zone = fc.constantFrom('a', 'b')
const maybeZone = fc.option(zone, { nil: undefined })
const wish: fc.Arbitrary<Wish> = fc.record({
  replicas: fc.nat(5),
  cpus: fc.constantFrom(0, 0, 1),
  zone: maybeZone,
  maxPerNode: fc.constantFrom(0, 0, 2),
  delayMs: fc.constantFrom(0, 5_000),
  program: fc.constant(1),
})
const pick = fc.nat(20)
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    type: fc.constantFrom('down' as const, 'up', 'up', 'unknown', 'drain', 'pause', 'activate', 'activate', 'remove-node'),
    node: pick,
  }),
  fc.record({ type: fc.constant('relabel' as const), node: pick, zone }),
  fc.record({ type: fc.constant('add-node' as const), cpus: fc.integer({ min: 1, max: 4 }), zone }),
  fc.record({
    type: fc.constant('end' as const),
    task: pick,
    state: fc.constantFrom('failed' as const, 'rejected', 'complete', 'shutdown'),
  }),
  fc.record({ type: fc.constant('end' as const), task: pick, state: fc.constant('failed' as const) }),
  fc.record({ type: fc.constant('scale' as const), service: pick, replicas: fc.nat(6) }),
  fc.record({ type: fc.constantFrom('reprogram' as const, 'remove-service'), service: pick }),
  fc.record({ type: fc.constant('replace' as const), service: pick, zone: maybeZone }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(100, 5_000, 70_000) }),
  fc.record({ type: fc.constant('cut' as const), ops: fc.nat(3) }),
  fc.record({ type: fc.constant('slow' as const), every: fc.integer({ min: 2, max: 3 }) }),
)

function shapeOf({ replicas, cpus, zone, maxPerNode, delayMs, program }: Wish): ServiceShape {
  return {
    replicas,
    task: { command: [`v${program}`], ...(cpus > 0 && { resources: { reserve: { cpus } } }) },
    placement: { constraints: zone === undefined ? [] : [`node.labels.zone == ${zone}`], maxPerNode },
    restart: { delayMs },
  }
}

/** A cluster with its history of troubles; checks what must hold at every step. */
class Story {
  readonly cluster = new BenchCluster()
  readonly wishes = new Map<string, Wish>()
  #nodes = 0

  addNode(cpus: number, zone: string): void {
    this.cluster.node(`n${String.fromCharCode(97 + this.#nodes++)}`, { cpus, labels: { zone } })
  }

  addService(wish: Wish): void {
    const id = this.cluster.service(`s${String.fromCharCode(97 + this.wishes.size)}`, shapeOf(wish))
    this.wishes.set(id, wish)
  }

  happens(event: Event): void {
    const { cluster } = this
    const nodes = [...cluster.tables.nodes()]
    const node = 'node' in event ? nodes[event.node % nodes.length]?.id : undefined
    const services = [...cluster.tables.services()]
    const service = 'service' in event ? services[event.service % services.length]?.id : undefined
    switch (event.type) {
      case 'down':
      case 'unknown':
        if (node !== undefined) cluster.nodeState(node, event.type)
        break
      case 'up':
        if (node !== undefined) cluster.nodeState(node, 'ready')
        break
      case 'drain':
      case 'pause':
      case 'activate':
        if (node !== undefined) {
          cluster.apply({ op: 'node.update', id: node, availability: event.type === 'activate' ? 'active' : event.type })
        }
        break
      case 'remove-node':
        if (node !== undefined && nodes.length > 1) cluster.apply({ op: 'node.remove', id: node })
        break
      case 'relabel':
        if (node !== undefined) cluster.apply({ op: 'node.update', id: node, labels: { zone: event.zone } })
        break
      case 'add-node':
        this.addNode(event.cpus, event.zone)
        break
      case 'end':
        this.#end(event.task, event.state)
        break
      case 'scale':
        this.#change(service, { replicas: event.replicas })
        break
      case 'reprogram':
        this.#change(service, { program: (this.wishes.get(service ?? '')?.program ?? 0) + 1 })
        break
      case 'replace':
        this.#change(service, { zone: event.zone })
        break
      case 'remove-service':
        if (service !== undefined) cluster.apply({ op: 'service.remove', id: service })
        break
      case 'wait':
        cluster.nowMs += event.ms
        break
      case 'cut':
        this.#carryOut(runPlanner(planServices, cluster.tables, cluster.nowMs).ops.slice(0, event.ops))
        return
      case 'slow':
        this.pass()
        cluster.obey(({ handle }) => handle % event.every === 0)
        break
    }
    this.pass()
  }

  #change(service: string | undefined, change: Partial<Wish>): void {
    const wish = service === undefined ? undefined : this.wishes.get(service)
    if (service === undefined || wish === undefined) return
    this.wishes.set(service, { ...wish, ...change })
    this.cluster.update(service, shapeOf({ ...wish, ...change }))
  }

  #end(index: number, state: 'failed' | 'rejected' | 'complete' | 'shutdown'): void {
    const placed = [...this.cluster.tables.tasks()].filter(({ node, observed }) => node !== undefined && !isTerminal(observed))
    const task = placed[index % placed.length]
    if (task !== undefined) this.cluster.observe(task, state)
  }

  /** Every planner once; true when one of them had something to do. */
  pass(): boolean {
    const { cluster } = this
    let busy = false
    for (const plan of [
      () => runPlanner(planEnforcement, cluster.tables, cluster.nowMs).ops,
      () => runPlanner(planServices, cluster.tables, cluster.nowMs).ops,
      () => planPlacement(cluster.tables, cluster.nowMs).ops,
      () => runPlanner(planReaping, cluster.tables, cluster.nowMs).ops,
    ]) {
      const ops = plan()
      busy ||= ops.length > 0
      this.#carryOut(ops)
      if (ops.length > 0) assert.deepEqual(plan(), [], 'a plan leaves nothing for its own second look')
    }
    this.#checkSlots()
    return busy
  }

  #carryOut(ops: readonly Op[]): void {
    for (const op of ops) this.#checkHandOver(op)
    if (ops.length > 0) this.cluster.apply(...ops)
    assert.deepEqual(brokenInvariants(this.cluster.tables), [])
  }

  /** A task starts only when its predecessors are over, out of reach, or had their minute. */
  #checkHandOver(op: Op): void {
    const { tables, nowMs } = this.cluster
    const starting =
      op.op === 'tasks.desire' && op.desired === 'running'
        ? op.tasks.map((handle) => tables.task(handle) as Task)
        : op.op === 'tasks.create' && op.desired === 'running'
          ? this.cluster
              .tasks(op.service)
              .filter(({ slot }) => slot >= op.slotFrom && slot <= op.slotTo)
              .map((task) => ({ ...task, generation: Number.POSITIVE_INFINITY, createdAtMs: nowMs }))
          : []
    for (const { service, slot, generation, createdAtMs } of starting) {
      for (const other of this.cluster.inSlot(service, slot)) {
        if (other.generation >= generation || isTerminal(other.observed) || other.node === undefined) continue
        const node = tables.node(other.node)
        assert.ok(
          node === undefined || node.state === 'down' || nowMs >= createdAtMs + 60_000,
          `slot ${slot} starts another task while ${other.generation} may still run`,
        )
      }
    }
  }

  #checkSlots(): void {
    for (const service of this.cluster.tables.services()) {
      const slots = new Map<number, number>()
      for (const { slot } of this.cluster.wished(service.id)) slots.set(slot, (slots.get(slot) ?? 0) + 1)
      for (const [slot, tasks] of slots) assert.equal(tasks, 1, `slot ${slot} has one wished task`)
      for (const { slot, specVersion } of this.cluster.mayComeBack(service.id))
        assert.ok(
          !this.cluster.running(service.id).some((task) => task.slot === slot && task.specVersion === specVersion),
          `slot ${slot} has a task that runs, and waits for one on a node that is down`,
        )
      assert.equal(
        slots.size + this.#pausing(service.id, slots),
        this.wishes.get(service.id)?.replicas,
        'as many slots as wished for',
      )
    }
  }

  /** Slots without a wished task whose last attempt ended while it still waited to start: the next one comes when that wait is over. */
  #pausing(service: string, wished: ReadonlyMap<number, number>): number {
    const last = new Map<number, Task>()
    for (const task of this.cluster.tasks(service)) if (task.desired !== 'remove') last.set(task.slot, task)
    return [...last.values()].filter(
      ({ slot, observed, startAfterMs = 0 }) => !wished.has(slot) && isTerminal(observed) && startAfterMs > this.cluster.nowMs,
    ).length
  }

  /** No more trouble: everything obeys, and time passes as far as any planner asks for. */
  calmDown(): void {
    const { cluster } = this
    for (let round = 0; ; round++) {
      assert.ok(round < 500, 'it comes to rest')
      const planned = this.pass()
      const acted = cluster.obey()
      if (planned || acted) continue
      const wakeAtMs = cluster.wakeAtMs()
      // The day after which a down node's tasks are given up changes nothing here.
      if (wakeAtMs === undefined || wakeAtMs > cluster.nowMs + 3_600_000) return
      cluster.nowMs = wakeAtMs
    }
  }

  checkConverged(): void {
    const { cluster, wishes } = this
    const { explanations } = planPlacement(cluster.tables, cluster.nowMs)
    for (const service of cluster.tables.services()) {
      const { replicas, zone, cpus, maxPerNode } = wishes.get(service.id) as Wish
      const wished = cluster.wished(service.id)
      const waiting = wished.filter(({ observed }) => observed !== 'running')
      for (const task of waiting) {
        // A node a new leader has not heard of yet keeps its tasks, whatever state they are in.
        if (task.node !== undefined) continue
        assert.ok(explanations.has(groupKeyOf(task)), `${task.observed} without a reason`)
      }
      const open = [...cluster.tables.nodes()].filter(
        (node) => node.state === 'ready' && node.availability === 'active' && (zone === undefined || node.labels.zone === zone),
      )
      if (open.length > 0 && cpus === 0 && maxPerNode === 0) {
        assert.equal(wished.filter(({ node }) => node !== undefined).length, replicas, 'all are placed when nothing forbids it')
      }
      if (waiting.length > 0) continue
      for (const task of wished) {
        assert.ok(isCurrent(cluster.tables, task), 'every task is what the service asks for')
        const node = cluster.tables.node(task.node as string)
        assert.ok(node !== undefined && node.state !== 'down' && node.availability !== 'drain')
        const { placement } = cluster.tables.spec(service.id, service.specVersion) ?? {}
        assert.ok(node.availability === 'pause' || node.state !== 'ready' || meetsConstraints(node, placement?.constraints ?? []))
      }
    }
    for (const task of cluster.tables.tasks()) {
      assert.ok(cluster.tables.service(task.service) !== undefined || this.#onDownNode(task), 'nothing outlives its service')
      assert.ok(rank(task.desired) < rank('remove') || this.#onDownNode(task), 'what is to be removed is gone')
    }
    for (const node of cluster.tables.nodes()) {
      const tasks = [...cluster.tables.tasksOfNode(node.id)].filter(({ observed }) => !isTerminal(observed))
      const used = tasks.reduce(
        (sum, { service, specVersion }) => sum + (cluster.tables.spec(service, specVersion)?.task.reserve.cpuNanos ?? 0),
        0,
      )
      assert.ok(used <= (node.description?.resources.cpuNanos ?? 0), 'no node is given more than it has')
    }
  }

  #onDownNode({ node }: Task): boolean {
    return node !== undefined && this.cluster.tables.node(node)?.state === 'down'
  }

  /** A service placed now is spread evenly over the nodes that take it. */
  checkSpread(): void {
    const { cluster } = this
    const fresh: Wish = { replicas: 7, cpus: 0, zone: undefined, maxPerNode: 0, delayMs: 0, program: 1 }
    this.addService(fresh)
    this.calmDown()
    const id = [...this.wishes.keys()].at(-1) as string
    const open = [...cluster.tables.nodes()].filter(({ state, availability }) => state === 'ready' && availability === 'active')
    if (open.length === 0) return
    const counts = open.map((node) => cluster.running(id).filter((task) => task.node === node.id).length)
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      7,
    )
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
  }
}

t.test('whatever happens to a cluster, planning is calm, safe at every step, and ends where the services want it', async () => {
  const node = fc.record({ cpus: fc.integer({ min: 1, max: 4 }), zone })
  fc.assert(
    fc.property(
      fc.array(node, { minLength: 1, maxLength: 4 }),
      fc.array(wish, { minLength: 1, maxLength: 3 }),
      fc.array(event, { maxLength: 30, size: 'max' }),
      (nodes, wishes, events) => {
        const story = new Story()
        for (const { cpus, zone } of nodes) story.addNode(cpus, zone)
        for (const each of wishes) story.addService(each)
        for (const each of events) story.happens(each)
        story.calmDown()
        story.checkConverged()
        assert.equal(story.pass(), false, 'and stays there')
        story.checkSpread()
      },
    ),
    { numRuns: 500 },
  )
})
