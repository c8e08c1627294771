import { EventEmitter } from 'node:events'
import { Agent } from '../agent/index.js'
import { clusterOver } from '../api/cluster.js'
import { LinkCaller } from '../api/link-caller.js'
import type { ManagerAddress } from '../api/session.js'
import type { Call, Cluster, Endpoints, Status } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf, SkeinError } from '../base/errors.js'
import type { Manager } from '../manager/index.js'
import type { NodeRole } from '../model/node.js'
import type { DatagramLane } from '../overlay/datagram/index.js'
import { tcpTriage } from '../overlay/swim/index.js'
import type { Link, LinkPool, RpcHandler } from '../overlay/transport/index.js'
import { type Identity, type Invitation, KeyStore, parseJoinString } from '../security/index.js'
import { LevelStorage, MemoryStorage, type Storage } from '../storage/index.js'
import { Closing } from './closing.js'
import { ComingIn } from './coming-in.js'
import { datagramMetrics, openDatagrams } from './datagrams.js'
import { describeNode } from './describe-node.js'
import { drainNode } from './drain-node.js'
import { forgetManagersData } from './forget-manager.js'
import { KeyWork } from './key-work.js'
import { advertisedAddress, listenAgain, openPool } from './listen.js'
import { localLogs } from './local-logs.js'
import { type PeerOptions, type ResolvedPeerOptions, resolvePeerOptions } from './options.js'
import { OwnCaller } from './own-caller.js'
import { OwnKeys } from './own-keys.js'
import { PeerGossip } from './peer-gossip.js'
import { installHandlers } from './peer-handlers.js'
import { PeerMembership } from './peer-membership.js'
import { planPeer } from './plan.js'
import { raftMetricsOf } from './raft-metrics.js'
import { RoleChange } from './role-change.js'
import { SeedKeeper } from './seed-keeper.js'
import { Seeds } from './seeds.js'
import { SessionFinder } from './session-finder.js'
import { shared } from './shared-storage.js'
import { Standing } from './standing.js'
import { nextEpoch, openStateDir, readIdentity, type StateDir, type StoredIdentity, writeIdentity } from './state-dir.js'
import { systemClock, systemLookup, systemRandom, thisMachine, thisMachinesAddresses } from './system-world.js'
import type { Metrics, Peer, PeerEvents, PeerNetwork } from './types.js'
import { workerStatus } from './worker-status.js'

/**
 * Starts a peer: it comes back from `dir`, joins by `join`, or founds a cluster. Resolves when it is usable: a leader is known and this
 * peer has a session with it.
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_DIR_IN_USE, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER,
 * ERR_SKEIN_PORT_IN_USE, ERR_SKEIN_BAD_JOIN_STRING, ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_WIRE_VERSION, ERR_SKEIN_REMOVED,
 * ERR_SKEIN_ALREADY_EXISTS, ERR_SKEIN_UNREACHABLE, ERR_SKEIN_ABORTED
 */
export async function createPeer(options: PeerOptions = {}): Promise<Peer> {
  return await createPeerOver({}, options)
}

/** As `createPeer`, over another network: tests and the demo put faults between. @throws as `createPeer` */
export async function createPeerOver(network: PeerNetwork, options: PeerOptions): Promise<Peer> {
  const peer = new RunningPeer(network, resolvePeerOptions(options, thisMachine().hostname, systemRandom))
  try {
    await peer.start()
  } catch (error) {
    await peer.abandon()
    throw error
  }
  return peer
}

class RunningPeer implements Peer {
  readonly #network: PeerNetwork
  readonly #o: ResolvedPeerOptions
  readonly #clock: Clock
  readonly #events = new EventEmitter<PeerEvents>()
  readonly #stopping = new AbortController()
  readonly #ended: Deferred<unknown> = deferred<unknown>()
  readonly #handlers = new Map<string, RpcHandler>()
  readonly #relay: LinkCaller
  readonly #api: Cluster
  readonly #comingIn = new ComingIn()
  #standing: Standing | undefined
  #seeds: Seeds | undefined
  #seedKeeper: SeedKeeper | undefined
  #dir: StateDir | undefined
  #storage: Storage | undefined
  #identity: StoredIdentity | undefined
  #keys: OwnKeys | undefined
  #keyWork: KeyWork | undefined
  #pool: LinkPool | undefined
  #roles: RoleChange | undefined
  #agent: Agent | undefined
  #gossip: PeerGossip | undefined
  #finder: SessionFinder | undefined
  #datagrams: DatagramLane | undefined
  #membership: PeerMembership | undefined
  #stopped: Promise<void> | undefined
  readonly #closing: Closing
  #onAbort: (() => void) | undefined
  #usable = false

  constructor(network: PeerNetwork, options: ResolvedPeerOptions) {
    this.#network = network
    this.#o = options
    this.#closing = new Closing(options.logger)
    this.#clock = network.clock ?? systemClock
    this.#relay = new LinkCaller({
      clock: this.#clock,
      random: systemRandom,
      manager: (deadlineMs, signal) => this.#managerLink(deadlineMs, signal),
    })
    const [relay, stopping] = [this.#relay, this.#stopping.signal]
    const caller = new OwnCaller({ manager: () => this.#usableManager?.control, relay, stopping })
    this.#api = clusterOver(caller, this.#clock)
  }

  get services() {
    return this.#api.services
  }
  get tasks() {
    return this.#api.tasks
  }
  get nodes() {
    return this.#api.nodes
  }
  get secrets() {
    return this.#api.secrets
  }
  get configs() {
    return this.#api.configs
  }
  get networks() {
    return this.#api.networks
  }
  get endpoints(): Endpoints {
    return (this.#gossip as PeerGossip).endpoints // there before `createPeer` resolves
  }
  get kv() {
    return this.#api.kv
  }
  get watch() {
    return this.#api.watch
  }
  get tokens() {
    return this.#api.tokens
  }
  get ca() {
    return this.#api.ca
  }
  get clusterStatus() {
    return this.#api.clusterStatus
  }
  invite(role: NodeRole, o?: Call): Promise<string> {
    return this.#api.invite(role, o)
  }

  get id(): string {
    return this.#known().node
  }
  get name(): string {
    return this.#known().name
  }
  get role(): NodeRole {
    return this.#known().role
  }
  get address(): string {
    return this.#known().address
  }
  get leading(): boolean {
    return this.#manager?.leading ?? false
  }
  get ended(): Promise<unknown> {
    return this.#ended.promise
  }

  on<E extends keyof PeerEvents>(event: E, listener: (...args: PeerEvents[E]) => void): this {
    this.#events.on(event, listener as never)
    return this
  }

  off<E extends keyof PeerEvents>(event: E, listener: (...args: PeerEvents[E]) => void): this {
    this.#events.off(event, listener as never)
    return this
  }

  async start(): Promise<void> {
    const { signal } = this.#o
    if (signal?.aborted)
      throw new SkeinError('ERR_SKEIN_ABORTED', 'the peer was aborted before it started', { what: 'createPeer' })
    this.#onAbort = () => void this.stop()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#dir = this.#o.dir === undefined ? undefined : await openStateDir(this.#o.dir)
    // Opening the database takes the directory's lock: nothing else under it is touched before.
    this.#storage = this.#dir === undefined ? new MemoryStorage() : await LevelStorage.open(this.#dir.db)
    const stored = this.#dir === undefined ? undefined : await readIdentity(this.#dir)
    const invitation = await this.#plan(stored)
    this.#goOn()
    installHandlers(this.#handlers, {
      manager: () => this.#manager,
      managers: () => this.#managerAddresses(),
      pool: () => this.#thePool(),
      clock: this.#clock,
      relay: this.#relay,
      meet: (question) => this.#comingIn.asked(question, this.#ownKeys()),
      localLogs: (task, request, signal) => localLogs(this.#agent, task, request, signal),
    })
    this.#pool = await listenAgain((listen) => this.#listenOn(listen), { ...this.#o, last: stored?.address })
    this.#goOn()
    const { signal: stopping } = this.#stopping
    const standing = new Standing({ node: this.id, clock: this.#clock, logger: this.#o.logger, stopping })
    standing.watch(this.#pool)
    this.#standing = standing
    void standing.over.then((error) => (this.#usable ? this.#fail(error) : undefined))
    // A bug of ours in a handler stops the links; a peer without links is none.
    void this.#pool.ended.then((error) => {
      if (error !== undefined) void this.#fail(error)
    })
    const address = advertisedAddress(this.#pool, this.#o.advertise, thisMachinesAddresses())
    this.#identity = { ...this.#known(), address }
    if (invitation !== undefined) this.#identity = await this.#enter(invitation)
    await this.#save()
    this.#goOn()
    this.#keyWork = this.#startKeyWork()
    const gossip = this.#startGossip(this.#pool)
    const membership = await this.#startMembership(this.#pool)
    gossip.networks.followMembers(membership)
    const roles = this.#startRoles(gossip, membership)
    await roles.begin()
    this.#goOn()
    this.#settle(gossip)
    this.#keyWork.keepCertificate()
    // Before a leader is known: a manager without quorum already answers stale reads and says why it refuses writes.
    if (this.#manager?.store.view().cluster !== undefined) await this.#keyWork.startControlFile()
    await roles.part?.usable
    this.#goOn()
    await this.#startAgent(gossip)
    await this.#keyWork.startControlFile()
    this.#goOn()
  }

  /** A start that was told to stop begins nothing more. */
  #goOn(): void {
    if (this.#stopping.signal.aborted)
      throw new SkeinError('ERR_SKEIN_STOPPED', 'the peer was stopped while it started', { what: 'createPeer' })
  }

  /** Who to be; returns by what it has to be taken in first. */
  async #plan(stored: StoredIdentity | undefined): Promise<Invitation | undefined> {
    const { dir, join, name, passphrase } = this.#o
    const store = dir === undefined ? undefined : new KeyStore(dir)
    const words = typeof passphrase === 'function' ? await passphrase() : passphrase
    const keys = await store?.read(words)
    if (words !== undefined && store?.seals === false) await store.setPassphrase(words)
    const joinString = typeof join === 'function' ? await join() : join
    if (joinString !== undefined) this.#seeds = new Seeds(parseJoinString(joinString).addresses, systemLookup, this.#clock)
    const plan = await planPeer({ dir, name, joinString, stored, keys, nowMs: this.#clock.wallMs(), random: systemRandom })
    this.#identity = { ...plan.identity, epoch: nextEpoch(stored?.epoch, this.#clock.wallMs()) }
    this.#keys = new OwnKeys(plan.keys, store, this.#clock)
    // Before anybody can know of them: a crash from here on comes back as the same node with the same key.
    await this.#keys.save()
    return plan.invitation
  }

  async #listenOn(listen: string): Promise<LinkPool> {
    const { transport } = this.#network
    const host = {
      node: this.id,
      credentials: this.#ownKeys().credentials,
      admit: (identity: Identity) => this.#admit(identity),
      handlers: this.#handlers,
      onRaftFrame: (from: string, whole: Uint8Array) => this.#onRaftFrame(from, whole),
    }
    const options = { clock: this.#clock, random: systemRandom, ...(transport && { transport }) }
    return await openPool(listen, this.role, host, options)
  }

  async #enter(invitation: Invitation): Promise<StoredIdentity> {
    await this.#save() // the node id must outlive a crash in the middle: joining again is then the same joining
    const { expect, availability, labels, logger } = this.#o
    return await this.#comingIn.enter({
      invitation,
      expect,
      identity: this.#known(),
      availability,
      labels,
      own: this.#ownKeys(),
      pool: this.#thePool(),
      lookup: systemLookup,
      standing: this.#standing as Standing,
      clock: this.#clock,
      random: systemRandom,
      logger,
      signal: this.#stopping.signal,
    })
  }

  #startSeedKeeper(seeds: Seeds, pool: LinkPool): void {
    const [managers, heard] = [() => this.#managerAddresses(), (news: readonly ManagerAddress[]) => this.#heardManagers(news)]
    this.#seedKeeper = new SeedKeeper({ seeds, pool, clock: this.#clock, managers, heard })
    this.#seedKeeper.start()
  }

  #startKeyWork(): KeyWork {
    const work = new KeyWork({
      own: this.#ownKeys(),
      pool: this.#thePool(),
      dir: this.#dir,
      clock: this.#clock,
      random: systemRandom,
      logger: this.#o.logger,
      signal: this.#stopping.signal,
      self: () => this.#known(),
      manager: () => this.#manager,
      managers: () => this.#managerAddresses(),
      managerLink: (deadlineMs) => this.#managerLink(deadlineMs, undefined),
      removed: (nodes) => {
        for (const each of [this.#membership, this.#gossip?.networks]) each?.remove(nodes)
      },
      renewed: async (keys, answer) => await this.#roles?.renewed(keys, answer),
    })
    work.start()
    return work
  }

  #startGossip(pool: LinkPool): PeerGossip {
    const { node, role, epoch, address } = this.#known()
    const managers = (): string[] => this.#managerAddresses().map((each) => each.node)
    this.#gossip = new PeerGossip({ node, role, epoch, address, pool, clock: this.#clock, random: systemRandom, managers })
    this.#gossip.start()
    return this.#gossip
  }

  async #startMembership(pool: LinkPool): Promise<PeerMembership> {
    const { node, cluster, epoch, address } = this.#known()
    const [own, { logger }] = [this.#ownKeys(), this.#o]
    if (this.#o.datagrams) {
      const sealing = { node, cluster, epoch, keyring: () => own.keyring }
      this.#datagrams = await openDatagrams({ ...sealing, address: pool.address, open: this.#network.datagrams, logger })
      this.#goOn()
    }
    const membership = await PeerMembership.open({
      node,
      epoch,
      address,
      pool,
      datagrams: this.#datagrams,
      triage: this.#network.triage ?? tcpTriage(this.#clock),
      clock: this.#clock,
      random: systemRandom,
      logger,
      file: this.#dir?.members,
    })
    this.#goOn()
    this.#membership = membership
    membership.remove([...own.removed])
    membership.start(this.#managerAddresses().map((each) => each.node))
    return membership
  }

  /** Parts that come and go with this peer's role. */
  #startRoles(gossip: PeerGossip, membership: PeerMembership): RoleChange {
    const [pool, own, standing] = [this.#thePool(), this.#ownKeys(), this.#standing as Standing]
    const [dir, storage, { logger }] = [this.#dir, this.#theStorage(), this.#o]
    this.#roles = new RoleChange({
      own,
      pool,
      logger,
      self: () => this.#known(),
      keep: (identity) => this.#keep(identity),
      managers: () => this.#managerAddresses(),
      openManager: async () => {
        // Half of all modules: who stays a worker starts without them.
        const { ManagerPart } = await import('./manager-part.js')
        return await ManagerPart.open({
          options: this.#o,
          dir,
          storage,
          pool,
          own,
          gossip,
          membership,
          standing,
          clock: this.#clock,
          self: () => this.#known(),
          tookPart: () => this.#tookPart(),
          learn: (news) => this.#keyWork?.learn(news),
          leaderChanged: (leader, term) => this.#events.emit('leader', { leader, term }),
          unheard: () => this.#keyWork?.renew(),
          localLogs: (task, request, signal) => localLogs(this.#agent, task, request, signal),
        })
      },
      settle: () => this.#settle(gossip),
      forget: () => forgetManagersData(dir, storage),
      fail: (error) => standing.fail(error),
    })
    return this.#roles
  }

  async #tookPart(): Promise<void> {
    const { founding: _, ...rest } = this.#known()
    await this.#keep({ ...rest, hasLog: true })
    await this.#ownKeys().founded()
  }

  /** What follows from this peer's role besides being a manager. */
  #settle(gossip: PeerGossip): void {
    const { role } = this.#known()
    gossip.become(role)
    this.#keyWork?.renewControlFile()
    this.#seedKeeper?.stop()
    this.#seedKeeper = undefined
    if (role === 'worker' && this.#seeds !== undefined) this.#startSeedKeeper(this.#seeds, this.#thePool())
  }

  async #startAgent(gossip: PeerGossip): Promise<void> {
    const pool = this.#thePool()
    const finder = new SessionFinder({
      node: this.id,
      pool,
      clock: this.#clock,
      random: systemRandom,
      manager: () => this.#usableManager,
      managers: () => this.#managerAddresses(),
    })
    this.#finder = finder
    const registered = deferred()
    this.#agent = new Agent({
      node: this.id,
      description: async () => describeNode(this.#o.drivers.map(({ name }) => name)),
      address: this.address,
      drivers: this.#o.drivers,
      storage: shared(this.#theStorage()),
      clock: this.#clock,
      random: systemRandom,
      logger: this.#o.logger,
      connect: (signal) => finder.connect(signal),
      rows: gossip.ownTasks,
      witness: gossip.ownEndpoints,
      // Told first when a session opens.
      onManagers: (managers) => {
        this.#heardManagers(managers)
        registered.resolve()
      },
    })
    await this.#agent.start()
    this.#goOn()
    gossip.meterLoad(this.#agent)
    // Removed from the cluster, or its disk failed: before the first session this start fails with it, after it the peer ends with it.
    void this.#agent.ended.then((error) => {
      if (error === undefined) return
      registered.reject(error)
      if (this.#usable) void this.#fail(error)
    })
    await this.#standing?.waitFor('a session with the leader', registered.promise)
    this.#usable = true
  }

  stop({ drain = false, timeoutMs = 30_000 }: { readonly drain?: boolean; readonly timeoutMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(drain, timeoutMs, undefined)
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** After a start that failed: what it was just opening when `stop` came by is closed as well. */
  async abandon(): Promise<void> {
    await this.stop()
    await this.#closeParts()
  }

  async #fail(error: unknown): Promise<void> {
    this.#o.logger.error({ error: messageOf(error) }, 'the peer failed and stops')
    this.#stopped ??= this.#stop(false, 0, error)
    await this.#stopped
  }

  async #stop(drain: boolean, timeoutMs: number, failure: unknown): Promise<void> {
    if (drain) await drainNode({ node: this.id, nodes: this.nodes, clock: this.#clock, logger: this.#o.logger, timeoutMs })
    this.#stopping.abort()
    if (this.#onAbort !== undefined) this.#o.signal?.removeEventListener('abort', this.#onAbort)
    await this.#closeParts()
    this.#ended.resolve(failure)
  }

  /** Each part once, in the reverse of their order. */
  async #closeParts(): Promise<void> {
    // Made only under the directory's lock: the file of a peer that runs there is not touched.
    await this.#closing.end('keys', this.#keyWork && (() => (this.#keyWork as KeyWork).stop()))
    await this.#closing.end('agent', this.#agent && (() => (this.#agent as Agent).stop()))
    await this.#closing.end('manager', this.#roles && (() => (this.#roles as RoleChange).stop()))
    this.#seedKeeper?.stop() // the end of a change of roles begins another
    await this.#closing.end('membership', this.#membership && (() => (this.#membership as PeerMembership).stop()))
    await this.#closing.end('datagrams', this.#datagrams && (() => (this.#datagrams as DatagramLane).close()))
    await this.#closing.end('gossip', this.#gossip && (() => (this.#gossip as PeerGossip).stop()))
    await this.#closing.end('links', this.#pool && (() => (this.#pool as LinkPool).stop()))
    await this.#saving.catch(() => undefined) // said to whoever asked for it; the next process may write where this one did
    await this.#closing.end('storage', this.#storage && (() => (this.#storage as Storage).close()))
  }

  status(): Status {
    if (this.#usableManager !== undefined) return this.#usableManager.status()
    const managers = this.#managerAddresses()
    return workerStatus(
      this.#known(),
      managers.length,
      managers.filter(({ node }) => this.#pool?.link(node) !== undefined).length,
    )
  }

  metrics(): Metrics {
    const raft = this.#manager?.raft.metrics()
    return {
      ...(raft && raftMetricsOf(raft)),
      ...this.#gossip?.metrics(),
      ...this.#membership?.metrics(),
      ...(this.#datagrams && datagramMetrics(this.#datagrams)),
      ...(this.#finder && { skein_session_moves_total: this.#finder.moves, skein_session_away: Number(this.#finder.isAway) }),
    }
  }

  #onRaftFrame(from: string, whole: Uint8Array): void {
    const manager = this.#manager
    const found = manager?.links.unwrap(from, whole)
    if (manager !== undefined && found !== undefined) manager.raft.receive(found.from, found.frame)
  }

  #admit(identity: Identity): SkeinError | undefined {
    if (this.#manager !== undefined) return this.#manager.admit(identity)
    if (!this.#ownKeys().removed.has(identity.node)) return undefined
    return new SkeinError('ERR_SKEIN_REMOVED', `node ${identity.node} was removed from this cluster`, { node: identity.node })
  }

  #managerAddresses(): readonly ManagerAddress[] {
    return this.#manager?.managers() ?? this.#known().managers
  }

  /** Kept on disk: after all peers were down at once, this is how a worker finds them. */
  #heardManagers(managers: readonly ManagerAddress[]): void {
    if (managers.length === 0 || JSON.stringify(managers) === JSON.stringify(this.#known().managers)) return
    this.#identity = { ...this.#known(), managers: managers.map(({ node, address }) => ({ node, address })) }
    this.#save().catch((error: unknown) => this.#o.logger.warn({ error: messageOf(error) }, 'the identity could not be saved'))
  }

  async #managerLink(deadlineMs: number, signal: AbortSignal | undefined): Promise<Link> {
    const pool = this.#thePool()
    for (const { node } of this.#managerAddresses()) {
      const link = pool.link(node)
      if (link !== undefined) return link
    }
    const managers = this.#managerAddresses().filter(({ node }) => node !== this.id)
    const target = managers[Math.floor(systemRandom() * managers.length)]
    if (target === undefined)
      throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'no manager is known to this worker', { address: 'none' })
    return await pool.dial(target.address, { deadlineMs: Math.min(deadlineMs, 2_000), ...(signal && { signal }) })
  }

  #saving: Promise<void> = Promise.resolve()
  async #save(): Promise<void> {
    const dir = this.#dir
    if (dir === undefined) return
    // One write at a time: both use the same temporary file.
    this.#saving = this.#saving.catch(() => undefined).then(() => writeIdentity(dir, this.#known()))
    await this.#saving
  }

  async #keep(identity: StoredIdentity): Promise<void> {
    this.#identity = identity
    await this.#save()
  }

  /** Undefined on a worker. */
  get #manager(): Manager | undefined {
    return this.#roles?.part?.manager
  }

  /** Undefined as well while it is on the way to be one: until then this peer goes on as a worker. */
  get #usableManager(): Manager | undefined {
    return this.#roles?.part?.isUsable === true ? this.#manager : undefined
  }

  #known(): StoredIdentity {
    if (this.#identity === undefined) throw new SkeinError('ERR_SKEIN_STOPPED', 'the peer is not started', { what: 'peer' })
    return this.#identity
  }

  #ownKeys(): OwnKeys {
    if (this.#keys === undefined) throw new SkeinError('ERR_SKEIN_STOPPED', 'the peer is not started', { what: 'peer' })
    return this.#keys
  }

  #thePool(): LinkPool {
    if (this.#pool === undefined) throw new SkeinError('ERR_SKEIN_STOPPED', 'the peer has no links', { what: 'links' })
    return this.#pool
  }

  #theStorage(): Storage {
    if (this.#storage === undefined) throw new SkeinError('ERR_SKEIN_STOPPED', 'the peer has no storage', { what: 'storage' })
    return this.#storage
  }
}
