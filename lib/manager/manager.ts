import type { TrustNews } from '../api/join.js'
import type { ManagerAddress, SessionApi } from '../api/session.js'
import type { Status, Why } from '../api/types.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf, SkeinError } from '../base/errors.js'
import { Dispatcher } from '../dispatcher/index.js'
import { type ClusterSettings, defaultClusterSettings } from '../model/cluster.js'
import type { NodeRole } from '../model/node.js'
import { isTerminal, type Task as TaskRecord } from '../model/task.js'
import { isCurrent, Reconciler, slotEnd } from '../orchestrator/index.js'
import type { Evidence } from '../overlay/transport/index.js'
import type { RaftRunner } from '../raft/runner/index.js'
import { describeReason, summaryOf } from '../scheduler/index.js'
import { digestOf, formatJoinString, type Identity, issuingRoot, sealSecret, tokenSecret } from '../security/index.js'
import type { Store } from '../store/index.js'
import { ControlServer, type ControlWorld } from './control-server.js'
import { certificateFacts, JoinServer } from './join-server.js'
import { KeyringKeeper } from './keyring-keeper.js'
import { type Duty, Leadership } from './leadership.js'
import { Mesh } from './mesh.js'
import type { Founding, ManagerOptions } from './options.js'
import { checkDemotable, checkRemovable, type QuorumView } from './quorum-guard.js'
import type { RaftLinks } from './raft-links.js'
import { openReplica, type Replica } from './replica.js'
import { RoleKeeper } from './role-keeper.js'
import { RootKeeper } from './root-keeper.js'
import { secretOpener } from './secret-opener.js'
import { VoterKeeper } from './voter-keeper.js'

/** Election timeouts a call waits for a leader: an election with a split vote or two fits in. */
const leaderWaitElections = 5

/** What a manager runs: raft and the replicated tables always, the duties only while it leads. */
export class Manager {
  readonly control: ControlServer
  readonly store: Store
  readonly raft: RaftRunner
  readonly links: RaftLinks
  readonly #o: ManagerOptions
  readonly #leadership: Leadership
  readonly #join: JoinServer
  readonly #mesh: Mesh
  #founding: Founding | undefined
  #dispatcher: Dispatcher | undefined
  #reconciler: Reconciler | undefined
  /** Ends when this manager's leadership does; what hangs on it (local sessions) then looks for the next leader. */
  #term = new AbortController()
  #news: Deferred<void> = deferred()
  /** Nodes whose process seems to have died, by what their links said last; a new term begins with it. */
  readonly #dead = new Map<string, Evidence>()
  readonly #failed: Deferred<unknown> = deferred<unknown>()
  #managersKnown: { readonly version: number; readonly known: readonly ManagerAddress[] } | undefined
  #undo: (() => void)[] = []

  private constructor(options: ManagerOptions, { store, raft, links }: Replica) {
    this.#o = options
    this.store = store
    this.raft = raft
    this.links = links
    this.#founding = options.founding
    this.#leadership = new Leadership(
      (term) => this.#duties(term),
      (error) => options.logger.error({ error: messageOf(error) }, 'a duty failed'),
    )
    const { node, clock, pool, managers: known } = options
    this.#mesh = new Mesh({ node, clock, pool, links, view: () => store.view(), known })
    this.control = new ControlServer(this.#controlWorld())
    this.#join = new JoinServer({
      store,
      random: options.random,
      dataKey: options.dataKey,
      wallMs: () => options.clock.wallMs(),
      managers: () => this.managers(),
      raftIdTaken: (id) => this.raft.status().conf.voters.includes(id) || links.nodeOf(id) !== undefined,
    })
  }

  /** @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE */
  static async open(options: ManagerOptions): Promise<Manager> {
    return new Manager(options, await openReplica(options))
  }

  /** Begins to take part. Leadership, if it comes, comes later. */
  start(): void {
    this.#mesh.learn()
    for (const { raftId, id } of this.#founding?.members ?? []) this.links.learn(raftId, id)
    this.#undo.push(
      this.store.onChange((changes) => {
        // No changes at all means that a snapshot replaced everything.
        if (changes.length === 0 || changes.some(({ kind }) => kind === 'node')) this.#mesh.learn()
      }),
      this.raft.observe((event) => {
        if (event.type === 'role') this.#roleChanged(event.role, event.term)
        this.#tellNews()
      }),
      this.#o.pool.observe((event) => {
        if (event.type === 'up') {
          this.#dead.delete(event.node)
          this.#dispatcher?.linkUp(event.node)
        }
        if (event.type === 'down' || event.type === 'missed') {
          if (event.evidence === 'refused' || event.evidence === 'reset') this.#dead.set(event.node, event.evidence)
          const raftId = this.store.view().node(event.node)?.raftId
          if (raftId !== undefined) this.raft.reportUnreachable(raftId, event.evidence === 'refused' ? 'dead' : 'lost')
          this.#dispatcher?.linkDown(event.node, event.evidence)
        }
        this.#tellNews()
      }),
    )
    for (const part of [this.raft.ended, this.store.ended]) {
      void part.then((error) => {
        if (error !== undefined) this.#failed.resolve(error)
      })
    }
    this.raft.start()
    if (this.#founding?.members.length === 1) this.raft.campaign() // alone: nobody to wait for
  }

  /** Ends the duties, hands leadership over if there is somebody, closes raft, then the store. */
  async stop(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo()
    this.#mesh.stop()
    this.#endTerm()
    await this.#leadership.stop()
    await this.#handOver()
    await this.raft.stop()
    await this.store.close()
  }

  /** After `stop`, on a peer that goes on as a worker. */
  release(): void {
    this.#mesh.release()
  }

  /** Resolves with the error when this manager can no longer do its work: its disk failed, or a planner did. */
  get failed(): Promise<unknown> {
    return this.#failed.promise
  }

  get node(): string {
    return this.#o.node
  }

  get leading(): boolean {
    return this.#leadership.term !== undefined && this.raft.leadership().role === 'leader'
  }

  /** Aborts when this manager's present leadership ends. */
  get term(): AbortSignal {
    return this.#term.signal
  }

  /** The leader, if it can be asked: raft still names a dead one until the election timeout, its link is gone at once. */
  leaderNode(): string | undefined {
    const { leader } = this.raft.leadership()
    if (leader === this.#o.raftId) return this.#o.node
    const node = leader === 0 ? undefined : this.links.nodeOf(leader)
    return node !== undefined && this.#o.pool.link(node) !== undefined ? node : undefined
  }

  managers(): readonly ManagerAddress[] {
    const view = this.store.view()
    // Asked for every worker that registers, over all nodes: once per state of the tables is enough.
    if (this.#managersKnown?.version !== view.version) {
      const known = [...view.nodes()].flatMap(({ id, role, address }) => (role === 'manager' ? [{ node: id, address }] : []))
      this.#managersKnown = { version: view.version, known }
    }
    const { known } = this.#managersKnown
    return known.length > 0 ? known : this.#o.managers
  }

  /** The dispatcher while this manager leads. @throws {SkeinError} ERR_SKEIN_NOT_LEADER with the leader's address */
  sessions(): SessionApi {
    if (this.leading && this.#dispatcher !== undefined) return this.#dispatcher
    throw this.#notLeader()
  }

  /** The newcomers' desk while this manager leads. @throws {SkeinError} ERR_SKEIN_NOT_LEADER with the leader's address */
  joining(): JoinServer {
    if (this.leading) return this.#join
    throw this.#notLeader()
  }

  /** The desk for clients' certificates: any manager's, with or without a quorum. */
  get desk(): Pick<JoinServer, 'credential' | 'stopgap' | 'trust'> {
    return this.#join
  }

  /** What members must know of certificates and keys: all of it at once, and again whenever it changed. @throws {SkeinError} ERR_SKEIN_PRECONDITION */
  async *trustNews(to: 'member' | 'stranger', signal: AbortSignal): AsyncGenerator<TrustNews> {
    const since = this.store.view().version
    yield this.#join.trust(to)
    for await (const { type } of this.store.watch({ kinds: ['cluster'], since, signal }))
      if (type !== 'mark') yield this.#join.trust(to)
  }

  /** Whether this is the key of the node's latest certificate, or the one it asked for that with. */
  isOnRecord(node: string, key: string): boolean {
    const { certificate } = this.store.view().node(node) ?? {}
    return certificate !== undefined && (certificate.key === key || certificate.before === key)
  }

  /** Whether somebody who proved to be this may link here. */
  admit({ node, role, key }: Identity): SkeinError | undefined {
    const view = this.store.view()
    if (view.cluster?.removedNodes.includes(node)) {
      const words = `node ${node} was removed from this cluster; join again with an empty directory`
      return new SkeinError('ERR_SKEIN_REMOVED', words, { node })
    }
    // A retired root's key may be in wrong hands: of what it issued only the keys that are on record count.
    if (role !== 'returning' || this.isOnRecord(node, key)) return undefined
    const words =
      'certificate (unknown-root): its root is retired, and its key is not on record; join again with an empty directory'
    return new SkeinError('ERR_SKEIN_BAD_CERTIFICATE', words, { reason: 'unknown-root' })
  }

  /** Resolves when leadership, membership or links may have changed, or after `waitMs`. */
  async newsWithin(waitMs: number, signal?: AbortSignal): Promise<void> {
    const wait = deferred()
    const cancel = this.#o.clock.after(waitMs, () => wait.resolve())
    const onAbort = (): void => wait.resolve()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([this.#news.promise, wait.promise])
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Waits for a leader that can be asked (it may be this manager); undefined when none came within `waitMs`. */
  async leaderWithin(waitMs: number, signal?: AbortSignal): Promise<string | undefined> {
    const { clock } = this.#o
    const endMs = clock.now() + waitMs
    while (this.leaderNode() === undefined && clock.now() < endMs && signal?.aborted !== true) {
      await this.newsWithin(endMs - clock.now(), signal)
    }
    return this.leaderNode()
  }

  /** Waits, at most so long, until somebody can answer workers: this manager with its duties begun, or a leader it has a link to. */
  async servingWithin(waitMs: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#o
    const endMs = clock.now() + waitMs
    const isServed = (): boolean => this.leading || ![undefined, this.#o.node].includes(this.leaderNode())
    while (!isServed() && clock.now() < endMs && signal?.aborted !== true) await this.newsWithin(endMs - clock.now(), signal)
  }

  status(): Status {
    const { term, leader, commitIndex, appliedIndex, conf, role } = this.raft.status()
    const voters = conf.voters.length
    const reachable = conf.voters.filter((id) => this.#reachable().has(id)).length
    const node = this.store.view().node(this.#o.node)
    const leaderNode = this.leaderNode()
    return {
      cluster: this.#o.cluster,
      node: this.#o.node,
      name: node?.name ?? this.#o.node,
      role: 'manager',
      leading: role === 'leader',
      term,
      leader: leaderNode,
      leaderName: leaderNode === undefined ? undefined : (this.store.view().node(leaderNode)?.name ?? leaderNode),
      commitIndex,
      appliedIndex,
      quorum: { voters, reachable, mayLose: Math.max(0, reachable - (Math.floor(voters / 2) + 1)) },
      stale: leader === 0,
    }
  }

  #notLeader(): SkeinError<'ERR_SKEIN_NOT_LEADER'> {
    const leader = this.leaderNode()
    const address = leader === undefined ? undefined : this.managers().find(({ node }) => node === leader)?.address
    return new SkeinError('ERR_SKEIN_NOT_LEADER', `this manager does not lead; ask ${leader ?? 'again in a moment'}`, {
      leader,
      ...(address !== undefined && { address }),
    })
  }

  #quorumView(): QuorumView {
    const { node: leader, votersWanted } = this.#o
    return { leader, conf: this.raft.status().conf, reachable: this.#reachable(), votersWanted }
  }

  /** Voters that answer: on the leader those heard of late, elsewhere those with a live link. */
  #reachable(): ReadonlySet<number> {
    const { conf, quorum, role, id } = this.raft.status()
    if (role === 'leader') return new Set(quorum.answering)
    const answering = conf.voters.filter((voter) => {
      if (voter === id) return true
      const node = this.links.nodeOf(voter)
      return node !== undefined && this.#o.pool.link(node) !== undefined
    })
    return new Set(answering)
  }

  #roleChanged(role: string, term: number): void {
    if (role !== 'leader') {
      this.#endTerm()
      this.#leadership.lost()
      return
    }
    void this.#found().then(
      () => this.#leadership.gained(term),
      (error: unknown) => this.#o.logger.error({ error: messageOf(error) }, 'the first records could not be written'),
    )
  }

  #endTerm(): void {
    this.#term.abort()
    this.#term = new AbortController()
  }

  /** Writes the first records of a new cluster, once. */
  async #found(): Promise<void> {
    if (this.#founding === undefined || this.store.view().cluster !== undefined) return
    const { access, members } = this.#founding
    const { cluster } = this.#o
    await this.store.submit(
      [
        { op: 'cluster.found', id: cluster, access, settings: defaultClusterSettings },
        ...members.flatMap(({ certificate, ...member }) => [
          { op: 'node.create', role: 'manager', ...member } as const,
          { op: 'node.certify', id: member.id, ...certificateFacts(certificate, access) } as const,
        ]),
      ],
      { by: 'leader', requestId: `found-${cluster}` },
    )
    this.#founding = undefined
  }

  #duties(term: number): readonly Duty[] {
    const { clock, random, logger, tickMs, electionTicks, votersWanted } = this.#o
    const dispatcher = new Dispatcher({
      store: this.store,
      clock,
      random,
      settings: () => this.#settings(),
      managers: () => this.managers(),
      membership: this.#o.membership,
      rows: this.#o.rows,
      openSecret: secretOpener(this.store, this.#o),
      dial: this.#o.dial,
      confirm: () => this.#confirm(term),
    })
    const reconciler = new Reconciler({
      view: () => this.store.view(),
      onChange: (listener) => this.store.onChange(listener),
      submit: (ops) => this.store.submit(ops, { by: 'leader' }),
      clock,
      silence: (node) => dispatcher.silentMs(node),
      caughtUp: () => this.raft.read(),
      logger: (message) => logger.warn({}, message),
    })
    this.#dispatcher = dispatcher
    this.#reconciler = reconciler
    const roles = new RoleKeeper({
      clock,
      store: this.store,
      raft: this.raft,
      votes: votersWanted === undefined ? 'all' : 'chosen',
      log: (words, detail) => logger.debug(detail, words),
    })
    const electionMs = tickMs * electionTicks
    const voters =
      votersWanted === undefined ? [] : [new VoterKeeper({ clock, raft: this.raft, voters: votersWanted, electionMs })]
    return [
      { name: 'dispatcher', start: () => this.#startDispatcher(dispatcher), stop: () => dispatcher.stop() },
      { name: 'reconciler', start: () => this.#startReconciler(reconciler), stop: () => reconciler.stop() },
      roles,
      new RootKeeper(this.store, this.#join, logger),
      new KeyringKeeper({ store: this.store, desk: this.#join, clock, logger }),
      ...voters,
      { name: 'news', start: () => this.#tellNews(), stop: async () => this.#tellNews() },
    ]
  }

  /** Resolves when a majority has confirmed, since the call, that this manager leads in this term: a term has one leader. */
  async #confirm(term: number): Promise<void> {
    await this.raft.read()
    if (this.#leadership.term !== term) throw this.#notLeader()
  }

  #startDispatcher(dispatcher: Dispatcher): void {
    dispatcher.start()
    for (const [node, evidence] of this.#dead) dispatcher.linkDown(node, evidence)
  }

  /** A planner that throws is a bug of ours: the peer stops, loudly, and another manager leads. */
  #startReconciler(reconciler: Reconciler): void {
    reconciler.start()
    void reconciler.ended.then((error) => {
      if (error !== undefined) this.#failed.resolve(error)
    })
  }

  #settings(): ClusterSettings {
    return this.store.view().cluster?.settings ?? defaultClusterSettings
  }

  #tellNews(): void {
    this.#news.resolve()
    this.#news = deferred()
  }

  /** A planned stop does not cost an election timeout. */
  async #handOver(): Promise<void> {
    const { role, progress, id, quorum } = this.raft.status()
    if (role !== 'leader' || progress === undefined) return
    const next = [...progress]
      .filter(([other]) => other !== id && quorum.answering.includes(other))
      .sort((a, b) => b[1].match - a[1].match)[0]
    if (next === undefined) return
    try {
      await this.raft.transferLeadership(next[0])
    } catch (error) {
      this.#o.logger.debug({ error: messageOf(error) }, 'leadership was not handed over; the others will elect')
    }
  }

  #controlWorld(): ControlWorld {
    const o = this.#o
    const manager = this
    return {
      clock: o.clock,
      store: this.store,
      leaderWaitMs: leaderWaitElections * o.electionTicks * o.tickMs,
      status: () => this.status(),
      leading: () => this.leading,
      leaderNode: () => this.leaderNode(),
      get leader() {
        return manager.leaderNode()
      },
      leaderNews: (waitMs, signal) => this.newsWithin(waitMs, signal),
      linearizable: (deadlineMs) => this.raft.read({ deadlineMs }),
      forward: (node, verb, params, head) => o.forward(node, verb, params, head),
      forwardStream: (node, verb, params, signal) => o.forwardStream(node, verb, params, signal),
      invite: (role) => this.invite(role),
      rotateToken: (role) => this.#join.rotateToken(role),
      authority: () => this.#join.describe(),
      rotateRoot: () => this.#join.rotateRoot(),
      sealSecret: (id, data) => sealSecret(id, data, o),
      checkRemovable: (node) => checkRemovable(node, this.#quorumView()),
      checkDemotable: (node) => checkDemotable(node, this.#quorumView()),
      placement: (task) => this.#placement(task),
      endpoints: (service) => o.endpoints(service),
      agentLogs: (node, task, request, signal) =>
        node === o.node ? o.localLogs(task, request, signal) : o.remoteLogs(node, task, request, signal),
      raftRole: (raftId) => {
        const { conf, leader } = this.raft.status()
        if (raftId === leader) return 'leader'
        if (conf.voters.includes(raftId)) return 'voter'
        return conf.learners.includes(raftId) ? 'learner' : undefined
      },
      load: (node) => o.load(node),
      pendingWhy: (task) => {
        const report = this.#reconciler?.why(task.handle)
        return report === undefined ? undefined : summaryOf(report)
      },
      current: isCurrent,
      slotEnd: (view, task) => {
        const end = isTerminal(task.observed) ? slotEnd(view, task.service, task.slot) : undefined
        return end?.task.handle === task.handle ? end.kind : undefined
      },
    }
  }

  #placement(task: TaskRecord): Why['placement'] {
    const report = this.#reconciler?.why(task.handle)
    if (report === undefined) return undefined
    return {
      evaluated: report.evaluated,
      reasons: report.reasons.map((reason) => ({ nodes: reason.nodes, reason: describeReason(reason) })),
    }
  }

  /** The join string for the next machine, with every manager's address. */
  invite(role: NodeRole): string {
    const cluster = this.store.view().cluster
    if (cluster === undefined)
      throw new SkeinError('ERR_SKEIN_PRECONDITION', 'the cluster is still being founded; try again', { what: 'founding' })
    const own = this.managers().filter(({ node }) => node === this.#o.node)
    const others = this.managers().filter(({ node }) => node !== this.#o.node)
    return formatJoinString({
      token: {
        role,
        root: digestOf(issuingRoot(cluster.access).certificate),
        secret: tokenSecret(cluster.access, { cluster: cluster.id, dataKey: this.#o.dataKey }, role),
      },
      addresses: [...own, ...others].map(({ address }) => address),
    })
  }
}
