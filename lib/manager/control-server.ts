import type { CallHead, ControlCaller, ControlStreams, ControlVerbs, StreamVerb, Verb } from '../api/control.js'
import { maybeStaleVerbs, readVerbs, refusedUntried } from '../api/control.js'
import type { CertificateAuthority, Change, Endpoint, Kind, List, LogLine, Status, Why } from '../api/types.js'
import { assert } from '../base/assert.js'
import type { Clock } from '../base/clock.js'
import { type ErrorCode, isSkeinError, SkeinError } from '../base/errors.js'
import type { Op } from '../model/command.js'
import type { Network as NetworkRecord } from '../model/network.js'
import type { Node as NodeRecord, NodeRole } from '../model/node.js'
import { resolveServiceSpec } from '../model/resolve-service.js'
import type { Service as ServiceRecord, ServiceSpec } from '../model/service.js'
import { parseTaskId, type Task as TaskRecord } from '../model/task.js'
import { parseConstraints, parseSpread } from '../scheduler/index.js'
import type { StoreChange } from '../store/changes.js'
import { resolveNode, resolveService, resolveTask, transact } from '../store/index.js'
import type { Store } from '../store/store.js'
import { fits } from './filter.js'
import { mergeLogs } from './logs.js'
import { networkVerbs } from './network-verbs.js'
import { idFrom } from './object-id.js'
import { payloadVerbs } from './payload-verbs.js'
import {
  bySlotNewestFirst,
  type Lights,
  presentKey,
  presentKeyMeta,
  presentNetwork,
  presentNode,
  presentService,
  presentTask,
} from './present.js'
import { checkPromotable } from './quorum-guard.js'

/** What the control server needs of the manager around it. */
export interface ControlWorld extends Lights {
  readonly clock: Clock
  readonly store: Store
  /** How long a call waits for a leader before it says that there is none: several elections long. */
  readonly leaderWaitMs: number
  status(): Status
  /** True while this manager leads and its duties run. */
  leading(): boolean
  /** Node id of the leader as this manager knows it. */
  leaderNode(): string | undefined
  /** Resolves when the leader may have changed, or after `waitMs`. */
  leaderNews(waitMs: number, signal: AbortSignal | undefined): Promise<void>
  /** A point in the log no older than this moment. @throws ERR_SKEIN_NO_QUORUM, ERR_SKEIN_NOT_LEADER */
  linearizable(deadlineMs: number): Promise<void>
  /** A call to another manager's control server. */
  forward<V extends Verb>(node: string, verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]>
  forwardStream<V extends StreamVerb>(
    node: string,
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncIterable<ControlStreams[V][1]>
  invite(role: NodeRole): string
  rotateToken(role: NodeRole): Promise<void>
  authority(): CertificateAuthority
  rotateRoot(): Promise<void>
  /** The value of a secret as only managers can read it. */
  sealSecret(id: string, data: Uint8Array): Uint8Array
  /** Throws when removing this manager would risk the quorum. */
  checkRemovable(node: NodeRecord): void
  /** Throws when demoting this manager would risk the quorum. */
  checkDemotable(node: NodeRecord): void
  placement(task: TaskRecord): Why['placement']
  /** Where a service's tasks answer, by what their nodes say. */
  endpoints(service: string): readonly Endpoint[]
  agentLogs(
    node: string,
    task: string,
    request: ControlStreams['logs'][0],
    signal: AbortSignal,
  ): AsyncIterable<Omit<LogLine, 'task' | 'node'>>
}

type VerbTable = { readonly [V in Verb]: (params: ControlVerbs[V][0], head: CallHead) => Promise<ControlVerbs[V][1]> }

/** Between two tries of a call whose leader just went away. */
const retryMs = 100

/** Errors that say "ask again, perhaps elsewhere": nothing happened. */
const passing = ['ERR_SKEIN_NOT_LEADER', 'ERR_SKEIN_UNREACHABLE', 'ERR_SKEIN_STOPPED'] as const
/** The write may have happened; repeating it under its request id is safe. */
const unknown = ['ERR_SKEIN_OUTCOME_UNKNOWN', 'ERR_SKEIN_LINK_LOST', 'ERR_SKEIN_TIMEOUT'] as const

/**
 * ControlApi carried out: on the leader against the store, elsewhere by asking the leader. Reads without a quorum answer from this
 * manager's own tables, marked stale; writes then end with ERR_SKEIN_NO_QUORUM after a few election timeouts.
 */
export class ControlServer implements ControlCaller {
  readonly #world: ControlWorld
  readonly #verbs: VerbTable

  constructor(world: ControlWorld) {
    this.#world = world
    this.#verbs = this.#makeVerbs()
  }

  /** From an operator, a client or this process: goes to whoever leads, and again if that changes. */
  async call<V extends Verb>(verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]> {
    if (verb === 'status') return this.#world.status() as ControlVerbs[V][1]
    if (wantsStale(params)) return this.#stale(verb, params)
    const { clock } = this.#world
    const endMs = clock.now() + head.deadlineMs
    let giveUpMs = Math.min(endMs, clock.now() + this.#world.leaderWaitMs)
    let lastError: unknown
    for (;;) {
      if (head.signal?.aborted) throw new SkeinError('ERR_SKEIN_ABORTED', `${verb} was aborted by its caller`, { what: verb })
      const leader = this.#world.leaderNode()
      try {
        if (this.#world.leading())
          return await this.carryOut(verb, params, { ...head, deadlineMs: Math.max(1, endMs - clock.now()) })
        if (leader !== undefined && leader !== this.#world.status().node) {
          return await this.#ask(leader, verb, params, { ...head, deadlineMs: Math.max(1, giveUpMs - clock.now()) })
        }
      } catch (error) {
        if (isSkeinError(error, 'ERR_SKEIN_NO_QUORUM') && maybeStaleVerbs.has(verb)) return this.#stale(verb, params)
        // Once the outcome is open, a later clean refusal does not close it.
        if (isOpen(verb, lastError) && isOneOf(error, refusedUntried)) throw outcomeUnknown(verb, head, lastError)
        if (!isOneOf(error, passing) && !isOneOf(error, unknown)) throw error
        if (!isOneOf(lastError, unknown)) lastError = error
      }
      if (clock.now() >= giveUpMs) break
      await this.#world.leaderNews(Math.min(retryMs, Math.max(1, giveUpMs - clock.now())), head.signal)
      // A leader that is there but slow may use the caller's whole deadline; only having none ends early.
      if (this.#world.leading()) giveUpMs = endMs
    }
    if (maybeStaleVerbs.has(verb)) return this.#stale(verb, params)
    if (isOpen(verb, lastError)) throw outcomeUnknown(verb, head, lastError)
    const { voters, reachable } = this.#world.status().quorum
    throw new SkeinError(
      'ERR_SKEIN_NO_QUORUM',
      `${verb} refused: no leader; ${reachable} of ${voters} managers reachable, ${Math.floor(voters / 2) + 1} needed. Bring managers back`,
      { voters, reachable },
      { cause: lastError },
    )
  }

  /**
   * The leader's answer, waited for only while it leads: one that fell silent gives none, and its heir can be asked under the same
   * request id. @throws {SkeinError} ERR_SKEIN_LINK_LOST (another leads, or nobody; the outcome is unknown) and what it throws
   */
  async #ask<V extends Verb>(leader: string, verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]> {
    const { clock, forward, leaderNode } = this.#world
    const deposed = new AbortController()
    const cancel = clock.every(retryMs, () => {
      if (leaderNode() !== leader) deposed.abort()
    })
    const signal = head.signal === undefined ? deposed.signal : AbortSignal.any([head.signal, deposed.signal])
    try {
      return await forward(leader, verb, params, { ...head, signal })
    } catch (error) {
      if (!deposed.signal.aborted || head.signal?.aborted) throw error
      const words = `node ${leader} does not lead any more, and has not answered`
      throw new SkeinError('ERR_SKEIN_LINK_LOST', words, { node: leader }, { cause: error })
    } finally {
      cancel()
    }
  }

  /** Only as leader. @throws {SkeinError} ERR_SKEIN_NOT_LEADER */
  async carryOut<V extends Verb>(verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]> {
    if (verb === 'status') return this.#world.status() as ControlVerbs[V][1]
    if (!this.#world.leading()) {
      const leader = this.#world.leaderNode()
      throw new SkeinError('ERR_SKEIN_NOT_LEADER', `this manager does not lead; ask ${leader ?? 'again later'}`, { leader })
    }
    if (readVerbs.has(verb)) await this.#world.linearizable(Math.min(head.deadlineMs, this.#world.leaderWaitMs))
    else this.#refuseWithoutQuorum(verb)
    return await this.#verbs[verb](params, head)
  }

  stream<V extends StreamVerb>(
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncIterable<ControlStreams[V][1]> {
    if (verb === 'watch') return this.#watch(params as ControlStreams['watch'][0], signal) as AsyncIterable<ControlStreams[V][1]>
    const leader = this.#world.leaderNode()
    if (!this.#world.leading() && leader !== undefined && leader !== this.#world.status().node) {
      return this.#world.forwardStream(leader, verb, params, signal)
    }
    return this.carryOutStream(verb, params, signal)
  }

  carryOutStream<V extends StreamVerb>(
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncIterable<ControlStreams[V][1]> {
    if (verb === 'watch') return this.#watch(params as ControlStreams['watch'][0], signal) as AsyncIterable<ControlStreams[V][1]>
    return this.#logs(params as ControlStreams['logs'][0], signal) as AsyncIterable<ControlStreams[V][1]>
  }

  /** A leader that has lost its majority but not yet its term says so at once instead of leaving the outcome open. */
  #refuseWithoutQuorum(verb: Verb): void {
    const { voters, reachable } = this.#world.status().quorum
    if (reachable > voters / 2) return
    throw new SkeinError(
      'ERR_SKEIN_NO_QUORUM',
      `${verb} refused: only ${reachable} of ${voters} managers answer. Bring managers back`,
      {
        voters,
        reachable,
      },
    )
  }

  /** From this manager's own tables, and says so. */
  async #stale<V extends Verb>(verb: V, params: ControlVerbs[V][0]): Promise<ControlVerbs[V][1]> {
    const answer = await this.#verbs[verb](params, { requestId: 'stale', deadlineMs: this.#world.leaderWaitMs })
    return (verb === 'kv.get' ? answer : { ...(answer as object), stale: true }) as ControlVerbs[V][1]
  }

  #makeVerbs(): VerbTable {
    const { store } = this.#world
    const view = () => store.view()
    const list = <T>(items: readonly T[]): List<T> => ({ items, version: view().version, stale: false })
    const service = (ref: string) => presentService(view(), resolveService(view(), ref))
    const node = (ref: string) => presentNode(view(), resolveNode(view(), ref), this.#world)
    const present = (task: TaskRecord) => presentTask(view(), task, this.#world)
    return {
      status: async () => this.#world.status(),
      invite: async ({ role }) => this.#world.invite(role),
      'tokens.rotate': async ({ role }) => {
        await this.#world.rotateToken(role)
        return this.#world.invite(role)
      },
      'ca.show': async () => this.#world.authority(),
      'ca.rotate': async () => {
        await this.#world.rotateRoot()
        return this.#world.authority()
      },
      'nodes.list': async () => list([...view().nodes()].map((each) => presentNode(view(), each, this.#world))),
      'nodes.get': async ({ ref }) => node(ref),
      'nodes.availability': async ({ ref, availability }, head) => {
        const { id } = resolveNode(view(), ref)
        await this.#submit([{ op: 'node.update', id, availability }], head)
        return node(id)
      },
      'nodes.label': async ({ ref, labels }, head) => {
        const { id } = resolveNode(view(), ref)
        await this.#submit([{ op: 'node.update', id, labels }], head)
        return node(id)
      },
      'nodes.role': async ({ ref, role }, head) => {
        const record = resolveNode(view(), ref)
        if ((record.becoming ?? record.role) === role) return node(record.id)
        if (role === 'worker') this.#world.checkDemotable(record)
        else checkPromotable(record)
        await this.#submit([{ op: 'node.desire', id: record.id, role }], head)
        return node(record.id)
      },
      'nodes.remove': async ({ ref, force }, head) => {
        const record = resolveNode(view(), ref)
        if (record.state !== 'down' && !force) {
          throw new SkeinError(
            'ERR_SKEIN_PRECONDITION',
            `node ${record.name} is ${record.state}: stop it first, or remove it by force; its tasks then move elsewhere`,
            { what: 'node is not down' },
          )
        }
        this.#world.checkRemovable(record)
        await this.#submit([{ op: 'node.remove', id: record.id }], head)
        return null
      },
      'services.create': async ({ spec }, head) => {
        const id = idFrom(head.requestId)
        await this.#submit([{ op: 'service.create', id, spec: checkedSpec(spec) }], head)
        return service(id)
      },
      'services.get': async ({ ref }) => service(ref),
      'services.list': async ({ filter }) =>
        list([...view().services()].filter((each) => fits(each.spec, filter)).map((each) => presentService(view(), each))),
      'services.replace': async ({ ref, spec, version }, head) => {
        const record = resolveService(view(), ref)
        this.#checkName(record, spec)
        await this.#submit([{ op: 'service.update', id: record.id, spec: checkedSpec(spec), ifVersion: version }], head)
        return service(record.id)
      },
      'services.scale': async ({ ref, replicas }, head) => {
        const { id } = resolveService(view(), ref)
        await this.#changeSpec(id, (spec) => ({ ...spec, mode: { replicas } }), head)
        return service(id)
      },
      'services.remove': async ({ ref }, head) => {
        const { id } = resolveService(view(), ref)
        await this.#submit([{ op: 'service.remove', id }], head)
        return null
      },
      'services.endpoints': async ({ ref }) => list(this.#world.endpoints(resolveService(view(), ref).id)),
      'tasks.list': async (filter) => {
        const tasks = this.#tasksFor(filter)
        return list(tasks.map(present).sort(bySlotNewestFirst))
      },
      'tasks.get': async ({ ref }) => present(resolveTask(view(), ref)),
      'tasks.why': async ({ ref }) => this.#why(resolveTask(view(), ref)),
      ...payloadVerbs({
        view,
        submit: (ops, head) => this.#submit(ops, head),
        seal: (id, data) => this.#world.sealSecret(id, data),
      }),
      ...networkVerbs({ view, submit: (ops, head) => this.#submit(ops, head) }),
      'kv.get': async ({ key }) => {
        const found = view().key(key)
        return found === undefined ? null : presentKey(found)
      },
      'kv.put': async ({ key, value, ifVersion }, head) =>
        await this.#submit([{ op: 'kv.put', key, value, ...(ifVersion !== undefined && { ifVersion }) }], head),
      'kv.delete': async ({ key }, head) => {
        await this.#submit([{ op: 'kv.delete', key }], head)
        return null
      },
      'kv.list': async ({ prefix }) => list([...view().keys(prefix)].map(presentKey)),
    }
  }

  async #submit(ops: readonly Op[], head: CallHead): Promise<number> {
    const outcome = await this.#world.store.submit(ops, {
      requestId: head.requestId,
      by: 'client',
      deadlineMs: head.deadlineMs,
      ...(head.signal && { signal: head.signal }),
    })
    return outcome.version
  }

  /** Read, change, write against the version read; again if another write of the spec came between. */
  async #changeSpec(
    id: string,
    change: (spec: ServiceSpec) => ServiceSpec,
    { requestId, deadlineMs, signal }: CallHead,
  ): Promise<void> {
    await transact(
      this.#world.store,
      ({ view, add }) => {
        const { spec, version } = resolveService(view, id)
        add({ op: 'service.update', id, spec: checkedSpec(change(spec)), ifVersion: version })
      },
      { requestId, deadlineMs, ...(signal && { signal }), by: 'client', retriesMax: 10 },
    )
  }

  #checkName(record: ServiceRecord, spec: ServiceSpec): void {
    if (spec.name === record.spec.name) return
    throw new SkeinError(
      'ERR_SKEIN_INVALID_SPEC',
      `name: a service keeps its name (${record.spec.name}); create another and remove this one`,
      {
        path: 'name',
        got: spec.name,
      },
    )
  }

  #tasksFor({ service, node }: ControlVerbs['tasks.list'][0]): TaskRecord[] {
    const view = this.#world.store.view()
    if (service !== undefined) {
      const { id } = resolveService(view, service)
      const at = node === undefined ? undefined : resolveNode(view, node).id
      return [...view.tasksOfService(id)].filter((task) => at === undefined || task.node === at)
    }
    if (node !== undefined) return [...view.tasksOfNode(resolveNode(view, node).id)]
    return [...view.tasks()]
  }

  #why(record: TaskRecord): Why {
    const view = this.#world.store.view()
    const task = presentTask(view, record, this.#world)
    const history = [...view.tasksOfService(record.service)]
      .filter((other) => other.slot === record.slot && other.generation < record.generation)
      .map((other) => presentTask(view, other, this.#world))
      .sort(bySlotNewestFirst)
    const placement = record.observed === 'pending' ? this.#world.placement(record) : undefined
    const where = task.nodeName === undefined ? '' : ` on ${task.nodeName}`
    const wish = task.desired === 'running' ? '' : ` (wished: ${task.desired})`
    const text = `${task.name} is ${task.observed}${where}${wish}: ${task.why === '' ? 'no reason recorded' : task.why}`
    return { task, text, ...(placement && { placement }), history }
  }

  async *#watch({ kinds, since }: ControlStreams['watch'][0], signal: AbortSignal | undefined): AsyncGenerator<Change> {
    const wanted: readonly Kind[] = kinds ?? ['service', 'task', 'node', 'network', 'kv']
    const changes = this.#world.store.watch({ kinds: wanted, ...(since !== undefined && { since }), ...(signal && { signal }) })
    for await (const change of changes) {
      const shown = this.#presentChange(change)
      if (shown !== undefined) yield shown
    }
    // Its own end would look as if nothing could change any more.
    if (signal?.aborted !== true)
      throw new SkeinError('ERR_SKEIN_STOPPED', 'this manager stops, or is none any more; go on with another', { what: 'watch' })
  }

  #presentChange(change: StoreChange): Change | undefined {
    if (change.type === 'mark' || change.type === 'resync') return change
    if (change.kind === 'cluster') return undefined
    const { kind, version } = change
    const was = change.was === undefined ? undefined : this.#presentRecord(change.kind, change.was)
    if (change.type === 'set') return { type: 'set', kind, version, object: this.#presentRecord(change.kind, change.object), was }
    assert(was !== undefined, 'a removed record was there')
    return { type: 'removed', kind, version, was }
  }

  #presentRecord(kind: Kind, record: unknown) {
    const view = this.#world.store.view()
    switch (kind) {
      case 'service':
        return presentService(view, record as ServiceRecord)
      case 'task':
        return presentTask(view, record as TaskRecord, this.#world)
      case 'node':
        return presentNode(view, record as NodeRecord, this.#world)
      case 'network':
        return presentNetwork(view, record as NetworkRecord)
      case 'kv':
        return presentKeyMeta(record as Parameters<typeof presentKeyMeta>[0])
    }
  }

  #logs(request: ControlStreams['logs'][0], signal: AbortSignal | undefined): AsyncIterable<LogLine> {
    return mergeLogs(
      {
        store: this.#world.store,
        tasks: () => this.#logTasks(request),
        open: (task, node, stop) => this.#world.agentLogs(node, task, request, stop),
      },
      request,
      signal,
    )
  }

  #logTasks(request: ControlStreams['logs'][0]): TaskRecord[] {
    const view = this.#world.store.view()
    if (request.service !== undefined) return [...view.tasksOfService(resolveService(view, request.service).id)]
    if (request.task !== undefined) {
      const task = resolveTask(view, request.task)
      // A name like web.1 follows the slot; an id is that one attempt.
      if (parseTaskId(request.task) !== undefined) return [task]
      return [...view.tasksOfService(task.service)].filter(({ slot }) => slot === task.slot)
    }
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', 'logs: name a service or a task', { option: 'service' })
  }
}

/** The spec as it is stored; constraints and spread preferences must name something that nodes have. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
function checkedSpec(given: ServiceSpec): ServiceSpec {
  const { spec, resolved } = resolveServiceSpec(given)
  parseConstraints(resolved.placement.constraints)
  parseSpread(resolved.placement.spread)
  return spec
}

/** The caller asked for this manager's own answer, however old. */
function wantsStale(params: object): boolean {
  return 'stale' in params && params.stale === true
}

/** A try ended so that the write may have happened. Of a read nothing stays open. */
function isOpen(verb: Verb, lastError: unknown): boolean {
  return !readVerbs.has(verb) && isOneOf(lastError, unknown)
}

function outcomeUnknown(verb: Verb, { requestId }: CallHead, cause: unknown): SkeinError<'ERR_SKEIN_OUTCOME_UNKNOWN'> {
  const words = `${verb}: the leader went away before it answered; it may have happened. A retry with requestId ${requestId} is safe`
  return new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', words, { requestId }, { cause })
}

function isOneOf(error: unknown, codes: readonly ErrorCode[]): boolean {
  return codes.some((code) => isSkeinError(error, code))
}
