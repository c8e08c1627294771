/** What a peer is besides a worker while it is a manager: begun and ended as a whole, at the start or while its tasks go on. */
import type { LogRequest } from '../api/control.js'
import type { TrustNews } from '../api/join.js'
import type { LogLine } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import { SkeinError } from '../base/errors.js'
import { Manager } from '../manager/index.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { keyFile, noRecords } from '../security/index.js'
import type { Storage } from '../storage/index.js'
import { foundingOf } from './coming-in.js'
import { managerCalls } from './manager-calls.js'
import type { ResolvedPeerOptions } from './options.js'
import type { OwnKeys } from './own-keys.js'
import { ownRecordGone } from './own-record.js'
import type { PeerGossip } from './peer-gossip.js'
import type { PeerMembership } from './peer-membership.js'
import { shared } from './shared-storage.js'
import type { Standing } from './standing.js'
import { refuseLostLog, type StateDir, type StoredIdentity } from './state-dir.js'
import { systemRandom } from './system-world.js'

export interface ManagerPartWorld {
  readonly options: ResolvedPeerOptions
  readonly dir: StateDir | undefined
  readonly storage: Storage
  readonly pool: LinkPool
  readonly own: OwnKeys
  readonly gossip: PeerGossip
  readonly membership: PeerMembership
  readonly standing: Standing
  readonly clock: Clock
  self(): StoredIdentity
  /** It has taken part in raft: from now on its log must be there. */
  tookPart(): Promise<void>
  learn(news: TrustNews): void
  leaderChanged(leader: string | undefined, term: number): void
  /** A leader knows this node, and this manager hears of none. */
  unheard(): void
  localLogs(task: string, request: LogRequest, signal: AbortSignal): AsyncIterable<Omit<LogLine, 'task' | 'node'>>
}

export class ManagerPart {
  readonly manager: Manager
  readonly #world: ManagerPartWorld
  readonly #stopping = new AbortController()
  #unfollow: () => void = () => undefined
  #usable: Promise<void> = Promise.resolve()
  #isUsable = false

  private constructor(world: ManagerPartWorld, manager: Manager) {
    this.#world = world
    this.manager = manager
  }

  /**
   * Opens log and tables as the peer's identity says. Says nothing to anybody before `start`.
   * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE
   */
  static async open(world: ManagerPartWorld): Promise<ManagerPart> {
    const { options, dir, storage, pool, own, gossip, membership, clock, self, localLogs } = world
    const { node, cluster, raftId, managers } = self()
    const { dataKey, certificate } = own
    const { tickMs, electionTicks, votersWanted, logger } = options
    if (dataKey === undefined) {
      const words = `${options.dir}: keys.json holds no data key, and without it this manager's log and tables do not open; put back the keys.json that belongs to them, or remove the directory and join again as a new node`
      throw new SkeinError('ERR_SKEIN_CORRUPT', words, { file: keyFile })
    }
    if (raftId === undefined || certificate === undefined) {
      const words = `the identity in ${options.dir} lacks what a manager needs; remove the directory and join again`
      throw new SkeinError('ERR_SKEIN_CORRUPT', words, { file: 'identity.json' })
    }
    if (dir !== undefined) await refuseLostLog(dir, self())
    const manager = await Manager.open({
      node,
      cluster,
      raftId,
      dataKey,
      founding: foundingOf(own, self(), options),
      raftDir: dir?.raft,
      storage: shared(storage),
      pool,
      managers,
      clock,
      random: systemRandom,
      tickMs,
      electionTicks,
      votersWanted,
      logger,
      membership,
      rows: gossip.tasks,
      load: (id) => gossip.loadOf(id),
      endpoints: (service) => gossip.endpoints.list({ service }),
      localLogs,
      ...managerCalls(pool),
    })
    return new ManagerPart(world, manager)
  }

  /** Begins to take part; `usable` says when somebody leads. */
  start(): void {
    const { gossip, standing, own, learn, leaderChanged } = this.#world
    const { manager } = this
    own.credentials.isOnRecord = (node, key) => manager.isOnRecord(node, key)
    this.#unfollow = gossip.followStore(manager.store, () => manager.leading)
    manager.raft.observe((event) => {
      if (event.type === 'role') leaderChanged(manager.leaderNode(), event.term)
    })
    // Better gone than wrong: the others elect, and the operator sees why this one ended.
    void manager.failed.then((error) => standing.fail(error))
    manager.store.onChange((changes) => {
      if (changes.length === 0 || changes.some(({ kind }) => kind === 'cluster')) learn(manager.desk.trust('member'))
    })
    manager.start()
    this.#usable = this.#begin()
    this.#usable.catch(() => undefined) // for whoever waits; the peer hears of the same by its standing
  }

  /** Resolves once a leader is known, or this part was stopped before. @throws {SkeinError} why this peer cannot go on */
  get usable(): Promise<void> {
    return this.#usable
  }

  /** Somebody has led since it began. */
  get isUsable(): boolean {
    return this.#isUsable
  }

  /** Any number of times. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#unfollow()
    this.#world.own.credentials.isOnRecord = noRecords
    await this.manager.stop()
    await this.#usable.catch(() => undefined) // said to whoever waited for it
  }

  async #begin(): Promise<void> {
    const { pool, standing, clock, self, tookPart, unheard } = this.#world
    const { node, managers } = self()
    const waiting = new AbortController()
    void ownRecordGone({
      node,
      clock,
      random: systemRandom,
      signal: AbortSignal.any([waiting.signal, this.#stopping.signal]),
      linked: () => managers.flatMap((each) => (each.node !== node && pool.link(each.node) !== undefined ? [each.node] : [])),
      forward: managerCalls(pool).forward,
      known: unheard,
    }).then((error) => error && standing.fail(error))
    try {
      await standing.waitFor('a leader is known', this.#leaderKnown())
    } finally {
      waiting.abort()
    }
    if (this.#stopping.signal.aborted) return
    this.#isUsable = true
    const { founding, hasLog } = self()
    if (founding !== true && hasLog === true) return
    try {
      await tookPart()
    } catch (error) {
      standing.fail(error)
      throw error
    }
  }

  /** Resolves when it holds, as seen at news of raft and links, or when this part is stopped. */
  async #leaderKnown(): Promise<void> {
    const { signal } = this.#stopping
    const { manager } = this
    const holds = (): boolean =>
      manager.leading || (manager.leaderNode() !== undefined && manager.store.view().node(manager.node) !== undefined)
    while (!holds() && !signal.aborted) await manager.newsWithin(50, signal)
  }
}
