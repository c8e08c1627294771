/**
 * How a running peer becomes a manager, or a worker again: by the certificate it is given. The wish is a record (`becoming`), and who
 * hears of it asks for another certificate; only the leader's answer decides. It is kept step by step in an order in which a crash
 * between any two leaves a peer that asks again: a manager's keys before its identity, a worker's identity before its keys, and nothing
 * of raft is thrown away before the identity says that this peer has no part in it.
 */
import type { RenewAnswer } from '../api/join.js'
import type { ManagerAddress } from '../api/session.js'
import type { Logger } from '../base/logger.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { type KeyPair, mustRenew } from '../security/index.js'
import type { ManagerPart } from './manager-part.js'
import type { OwnKeys } from './own-keys.js'
import type { StoredIdentity } from './state-dir.js'

export interface RoleChangeWorld {
  readonly own: OwnKeys
  readonly pool: Pick<LinkPool, 'renewLinks'>
  readonly logger: Logger
  self(): StoredIdentity
  /** In use from now on; on disk when this resolves. */
  keep(identity: StoredIdentity): Promise<void>
  /** Managers as last heard of. */
  managers(): readonly ManagerAddress[]
  openManager(): Promise<ManagerPart>
  /** This peer does its part of everything (gossip, seeds, control file) as its identity says now. */
  settle(): void
  /** Leaves nothing of raft and of the cluster's tables on this peer's disk. */
  forget(): Promise<void>
  /** This peer cannot go on. */
  fail(error: unknown): void
}

export class RoleChange {
  readonly #world: RoleChangeWorld
  /** One thing at a time: what the start began is finished before a change. */
  #work: Promise<void> = Promise.resolve()
  #part: ManagerPart | undefined

  constructor(world: RoleChangeWorld) {
    this.#world = world
  }

  /** Undefined on a worker. */
  get part(): ManagerPart | undefined {
    return this.#part
  }

  /** As the directory says. @throws {SkeinError} as `ManagerPart.open`, and what `forget` throws */
  async begin(): Promise<void> {
    await this.#next(async () => {
      if (this.#world.self().role === 'manager') await this.#open()
      else await this.#world.forget() // a demotion may have been cut short
    })
  }

  /** A new certificate came: shows it from now on, and becomes what it is for. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE: ask again */
  async renewed(keys: KeyPair, answer: RenewAnswer): Promise<void> {
    await this.#next(() => this.#become(keys, answer))
  }

  /** Any number of times. */
  async stop(): Promise<void> {
    await this.#work
    await this.#part?.stop()
  }

  async #become(keys: KeyPair, answer: RenewAnswer): Promise<void> {
    const { self, logger, fail } = this.#world
    const { role, raftId } = self()
    if (answer.role === role && answer.raftId === raftId) return await this.#show(keys, answer)
    logger.info({ role, raftId, next: answer.role, nextRaftId: answer.raftId }, 'this node gets another role')
    try {
      if (role === 'manager') await this.#standDown()
      await this.#standUp(keys, answer)
    } catch (error) {
      fail(error) // a disk that cannot be written, or a log that cannot be opened: the next start goes on from where it is
      throw error
    }
  }

  async #show(keys: KeyPair, answer: RenewAnswer): Promise<void> {
    const { own, pool } = this.#world
    const shown = own.credentials.role
    await own.certified(keys, answer)
    // By the links it has, it is somebody else to the others.
    if (mustRenew({ role: answer.was }) || shown !== own.credentials.role) pool.renewLinks('new certificate')
  }

  /** From a worker, whatever it was before. */
  async #standUp(keys: KeyPair, answer: RenewAnswer): Promise<void> {
    const { self, keep, settle } = this.#world
    const { role, raftId } = answer
    await this.#show(keys, answer)
    if (role === 'manager' && raftId !== undefined) {
      await keep({ ...self(), role, raftId })
      settle()
      await this.#open()
    } else settle()
  }

  async #standDown(): Promise<void> {
    const { self, keep, managers, forget } = this.#world
    const others = managers().filter(({ node }) => node !== self().node)
    const part = this.#part
    this.#part = undefined
    await part?.stop()
    const { raftId: _, hasLog: __, founding: ___, ...rest } = self()
    await keep({ ...rest, role: 'worker', managers: others.map(({ node, address }) => ({ node, address })) })
    await forget()
    part?.manager.release()
  }

  async #open(): Promise<void> {
    this.#part = await this.#world.openManager()
    this.#part.start()
  }

  #next(act: () => Promise<void>): Promise<void> {
    const done = this.#work.then(act)
    this.#work = done.catch(() => undefined) // said to whoever waited for it
    return done
  }
}
