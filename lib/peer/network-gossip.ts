/**
 * The endpoint rows of networks as this peer takes part in them: one scope of gossip for each network. Managers hold all of them and
 * pass on what owners say; a worker reads those its tasks are on. Who belongs to a network is raft's to say, and managers act on it:
 * they tell nobody else, hear nobody else, and take away what a node that left did not.
 */
import { type EndpointRow, endpointTable, networkOf, readEndpointRow, scopeOf } from '../api/endpoint-rows.js'
import type { Clock } from '../base/clock.js'
import type { NetworkRef } from '../model/network.js'
import type { NodeRole } from '../model/node.js'
import type { Gossip, Standing, Table } from '../overlay/gossip/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { Store } from '../store/index.js'
import { Attachments } from './attachments.js'
import type { EndpointSink } from './own-endpoints.js'
import type { PeerMembership } from './peer-membership.js'

export interface NetworkGossipOptions {
  readonly node: string
  readonly role: NodeRole
  readonly gossip: Gossip
  readonly pool: Pick<LinkPool, 'link'>
  readonly clock: Clock
  /** Managers as last heard of. */
  managers(): readonly string[]
}

/** A row as the public view needs it. */
export interface HeldRow {
  readonly network: NetworkRef
  readonly owner: string
  /** Task id. */
  readonly task: string
  readonly value: EndpointRow
}

/** What one node says of one task, on whichever networks. */
export interface RowRef {
  readonly owner: string
  readonly task: string
}

interface Joined {
  readonly ref: NetworkRef
  readonly table: Table<EndpointRow>
  cancelLeave: (() => void) | undefined
}

/** What a manager knows from raft. */
interface Authority {
  readonly store: Pick<Store, 'view' | 'onChange'>
  readonly attachments: Attachments
  isLeading(): boolean
}

/** Links and attachments that change together are looked at together. */
const meetAfterMs = 50
/** How often it is looked whom nobody knows any more. */
const forgetMs = 60_000
/** How long a worker whose last task on a network ended still says so, and is heard. */
const lingerMs = 5_000

type Members = Pick<PeerMembership, 'member' | 'observe' | 'members'>

export class NetworkGossip implements EndpointSink {
  readonly #o: NetworkGossipOptions
  /** By id. */
  readonly #joined = new Map<string, Joined>()
  readonly #observers = new Set<(row: RowRef | undefined) => void>()
  /** Of owners that are not simply alive. */
  readonly #standings = new Map<string, Standing>()
  readonly #removed = new Set<string>()
  /** Networks of own tasks, by id. */
  readonly #own = new Set<string>()
  #role: NodeRole
  /** Network and node, of nodes that the last look found with rows on a network they do not belong to. */
  #strays: ReadonlySet<string> = new Set()
  #authority: Authority | undefined
  #members: Members | undefined
  #forgotAtMs = 0
  #cancelMeet: (() => void) | undefined
  #undo: (() => void)[] = []

  constructor(options: NetworkGossipOptions) {
    this.#o = options
    this.#role = options.role
  }

  /** A manager holds every network's rows, as soon as it follows the store; a worker those its own tasks are on. */
  become(role: NodeRole): void {
    if (role === this.#role) return
    this.#role = role
    for (const { ref } of role === 'worker' ? [...this.#joined.values()] : []) {
      if (this.#own.has(ref.id)) this.#join(ref, 'reader')
      else this.#leave(ref.id)
    }
    this.meetSoon()
  }

  stop(): void {
    this.#cancelMeet?.()
    for (const undo of this.#undo.splice(0)) undo()
    for (const { cancelLeave } of this.#joined.values()) cancelLeave?.()
  }

  /** Whether a node may speak of an owner in a network's scope: managers of everybody, members of the network of themselves. */
  accepts(scope: string, from: string, owner: string): boolean {
    if (this.#role === 'worker' || this.#isManager(from)) return true
    if (from !== owner) return false
    // A node that has just left still has to say that its rows are gone; what it says later could outbid every retraction.
    return this.#belongs(scope, owner) || (this.#hasLeftLately(scope, owner) && this.#o.gossip.holds(scope, owner))
  }

  /** Whether a node may be told of an owner in a network's scope. */
  tells(scope: string, to: string, owner: string): boolean {
    return this.#role === 'worker' || to === owner || this.#isManager(to) || this.#belongs(scope, to)
  }

  /** A manager goes by raft: all networks there are, and who belongs to which. `isLeading`: its tables are those that count. Returns how to end it. */
  followStore(store: Authority['store'], isLeading: () => boolean): () => void {
    const lately = { nowMs: () => this.#o.clock.now(), forMs: lingerMs }
    const authority: Authority = { store, attachments: new Attachments(lately), isLeading }
    this.#authority = authority
    const reset = (): void => {
      authority.attachments.reset(store.view())
      this.#holdAll()
      this.meetSoon()
    }
    const unlisten = store.onChange((changes) => {
      // None at all: a snapshot replaced everything.
      if (changes.length === 0) return reset()
      if (changes.some(({ kind }) => kind === 'network')) this.#holdAll()
      if (authority.attachments.follow(store.view(), changes)) this.meetSoon()
      for (const change of changes)
        if (change.kind === 'node') this.#judge(change.type === 'set' ? change.object.id : change.was.id)
      this.#tell()
    })
    reset()
    return () => {
      unlisten()
      if (this.#authority === authority) this.#authority = undefined
    }
  }

  followMembers(members: Members): void {
    this.#members = members
    this.#undo.push(
      members.observe((node) => {
        this.#judge(node)
        this.#tell()
      }),
    )
    for (const { id } of members.members()) this.#judge(id)
  }

  /** These were removed from the cluster. */
  remove(nodes: readonly string[]): void {
    for (const node of nodes) {
      if (this.#removed.has(node)) continue
      this.#removed.add(node)
      this.#judge(node)
    }
  }

  attach(network: NetworkRef): void {
    this.#own.add(network.id)
    this.#join(network, this.#role === 'manager' ? 'holder' : 'reader')
  }

  detach(network: NetworkRef): void {
    this.#own.delete(network.id)
    if (this.#role === 'manager') {
      this.#holdAll()
      return
    }
    const joined = this.#join(network, 'author')
    joined.cancelLeave = this.#o.clock.after(lingerMs, () => this.#leave(network.id))
  }

  set(network: NetworkRef, task: string, row: EndpointRow): void {
    this.#joined.get(network.id)?.table.set(task, row)
  }

  delete(network: NetworkRef, task: string): void {
    this.#joined.get(network.id)?.table.delete(task)
  }

  /** Everything shown here: on a worker of the networks it is on, on a manager of all. */
  *rows(): Generator<HeldRow, void> {
    for (const { ref, table } of this.#joined.values()) {
      for (const { owner, key, value } of table.rows()) yield { network: ref, owner, task: key, value }
    }
  }

  /**
   * Whether new connections may go where this row says: the node is alive by what members say, nothing less, and to a manager its own
   * tables say the same of task, service and network. A node nobody has said anything of yet is taken for alive.
   */
  isUsable({ network, owner, task, value: { serviceName } }: HeldRow): boolean {
    if (owner !== this.#o.node && ![undefined, 'alive'].includes(this.#members?.member(owner)?.state)) return false
    const view = this.#authority?.store.view()
    if (view === undefined) return true
    const record = view.taskById(task)
    if (record?.node !== owner || record.desired !== 'running' || view.node(owner)?.state === 'down') return false
    const spec = view.spec(record.service, record.specVersion)
    return spec?.name === serviceName && spec.task.networks.some(({ id }) => id === network.id)
  }

  /** Of one task on one node: at most one for each network. */
  *rowsOf({ owner, task }: RowRef): Generator<HeldRow, void> {
    for (const { ref, table } of this.#joined.values()) {
      const value = table.get(owner, task)
      if (value !== undefined) yield { network: ref, owner, task, value }
    }
  }

  /** Calls back when `rows` or `isUsable` may answer otherwise than before, with the only task it may be about; returns how to stop that. */
  observe(changed: (row: RowRef | undefined) => void): () => void {
    this.#observers.add(changed)
    return () => this.#observers.delete(changed)
  }

  /** Links or attachments changed. */
  meetSoon(): void {
    this.#cancelMeet ??= this.#o.clock.after(meetAfterMs, () => {
      this.#cancelMeet = undefined
      for (const { ref } of this.#joined.values()) this.#meet(ref)
    })
  }

  /**
   * To be called about every second: rows of nodes that do not belong to a network, twice in a row, are taken away by the leader; and
   * those that only readers still have, because all managers forgot them, at once.
   */
  look(): void {
    const { gossip, node } = this.#o
    const authority = this.#authority
    const strays = new Set<string>()
    if (authority?.isLeading()) {
      for (const { ref } of this.#joined.values()) {
        const scope = scopeOf(ref)
        for (const owner of gossip.owners(scope)) {
          if (owner === node || authority.attachments.has(ref.id, owner)) continue
          const stray = `${ref.id} ${owner}`
          if (this.#strays.has(stray)) gossip.retract(scope, owner)
          else strays.add(stray)
        }
        for (const [owner, epoch] of gossip.takeClaims(scope)) {
          if (owner === node || authority.attachments.has(ref.id, owner)) continue
          // Of a node that raft does not know, nothing is kept either.
          if (authority.store.view().node(owner) !== undefined) gossip.retract(scope, owner, epoch)
        }
      }
    }
    this.#strays = strays
    this.#forgetUnknown()
    this.meetSoon()
  }

  /** Members forget the failed and the left after a day; so is it forgotten here what was concluded of them, as soon as nothing is hidden for it. */
  #forgetUnknown(): void {
    const { clock, gossip } = this.#o
    const nowMs = clock.now()
    if (this.#members === undefined || nowMs - this.#forgotAtMs < forgetMs) return
    this.#forgotAtMs = nowMs
    for (const owner of this.#standings.keys()) {
      if (this.#members.member(owner) !== undefined || this.#standingOf(owner) !== 'alive') continue
      const isHidden = [...this.#joined.values()].some(({ ref }) => gossip.hides(scopeOf(ref), owner))
      if (!isHidden) this.#standings.delete(owner)
    }
  }

  /** Networks there are; and those of own tasks, which this manager's tables may not know yet, or not any more. */
  #holdAll(): void {
    if (this.#authority === undefined) return
    const networks = [...this.#authority.store.view().networks()]
    for (const network of networks) this.#join(network, 'holder')
    const held = new Set([...networks.map(({ id }) => id), ...this.#own])
    for (const id of [...this.#joined.keys()]) if (!held.has(id)) this.#leave(id)
  }

  #join(network: NetworkRef, part: 'holder' | 'reader' | 'author'): Joined {
    const { gossip } = this.#o
    const scope = scopeOf(network)
    const known = this.#joined.get(network.id)
    if (known !== undefined) {
      known.cancelLeave?.()
      known.cancelLeave = undefined
      gossip.become(scope, part)
      return known
    }
    gossip.join(scope, { part })
    const table = gossip.table(scope, endpointTable, readEndpointRow)
    const joined: Joined = { ref: { id: network.id, name: network.name }, table, cancelLeave: undefined }
    this.#joined.set(network.id, joined)
    table.observe(({ owner, key }) => this.#tell({ owner, task: key }))
    for (const [owner, standing] of this.#standings) gossip.standing(owner, standing, scope)
    this.#meet(joined.ref)
    return joined
  }

  #leave(id: string): void {
    const joined = this.#joined.get(id)
    if (joined === undefined) return
    joined.cancelLeave?.()
    this.#joined.delete(id)
    this.#o.gossip.leave(scopeOf(joined.ref))
    this.#tell()
  }

  #meet(network: NetworkRef): void {
    const { gossip, pool, node } = this.#o
    const managers = new Set(this.#o.managers())
    const isLinked = (each: string): boolean => each !== node && pool.link(each) !== undefined
    gossip.partners(scopeOf(network), [...managers].filter(isLinked))
    const belonging = this.#authority?.attachments.nodes(network.id) ?? []
    const readers = [...belonging].filter((each) => isLinked(each) && !managers.has(each))
    gossip.readers(scopeOf(network), readers)
  }

  #belongs(scope: string, node: string): boolean {
    const network = networkOf(scope)
    return network !== undefined && (this.#authority?.attachments.has(network, node) ?? false)
  }

  #hasLeftLately(scope: string, node: string): boolean {
    const network = networkOf(scope)
    return network !== undefined && (this.#authority?.attachments.hasLeftLately(network, node) ?? false)
  }

  #isManager(node: string): boolean {
    return this.#o.pool.link(node)?.identity.role === 'manager'
  }

  #judge(owner: string): void {
    if (owner === this.#o.node) return
    const standing = this.#standingOf(owner)
    // Of whom nothing is known scopes are told too that it is alive: what it said before it was forgotten may be refused there.
    if (this.#standings.get(owner) === standing) return
    if (standing === 'alive') this.#standings.delete(owner)
    else this.#standings.set(owner, standing)
    for (const { ref } of this.#joined.values()) this.#o.gossip.standing(owner, standing, scopeOf(ref))
  }

  #standingOf(owner: string): Standing {
    if (this.#removed.has(owner)) return 'removed'
    const said = this.#members?.member(owner)?.state
    if (said === 'left' || said === 'failed') return said
    return this.#authority?.store.view().node(owner)?.state === 'down' ? 'failed' : 'alive'
  }

  #tell(row?: RowRef): void {
    for (const observer of this.#observers) observer(row)
  }
}
