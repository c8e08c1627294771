import { randomBytes } from 'node:crypto'
import { type KeyRequest, type RenewAnswer, readRenewAnswer, type TrustNews } from '../api/join.js'
import type { ManagerAddress } from '../api/session.js'
import type { Clock } from '../base/clock.js'
import { messageOf, SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { Manager } from '../manager/index.js'
import type { Link, LinkPool } from '../overlay/transport/index.js'
import {
  bindingBytes,
  isInTime,
  type KeyPair,
  type KeyString,
  makeKeyPair,
  provePossession,
  readCertificate,
} from '../security/index.js'
import { askManagers } from './ask-managers.js'
import { CertificateKeeper } from './certificate-keeper.js'
import { ControlFile } from './control-file.js'
import { askCredential } from './join.js'
import type { OwnKeys } from './own-keys.js'
import type { StateDir, StoredIdentity } from './state-dir.js'
import { TrustFollower } from './trust-follower.js'

export interface KeyWorkWorld {
  readonly own: OwnKeys
  readonly pool: LinkPool
  readonly dir: StateDir | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Aborts when the peer stops. */
  readonly signal: AbortSignal
  self(): Pick<StoredIdentity, 'node' | 'address' | 'role'>
  /** Undefined on a worker, and before it runs. */
  manager(): Manager | undefined
  managers(): readonly ManagerAddress[]
  managerLink(deadlineMs: number): Promise<Link>
  /** These were removed from the cluster, all there are; told again now and then. */
  removed(nodes: readonly string[]): void
  /** Shows the new certificate from now on, keeps it, and becomes what it says. */
  renewed(keys: KeyPair, answer: RenewAnswer): Promise<void>
}

const callMs = 5_000
const renewTimeoutMs = 20_000
/** Who was demoted hears of it within this over the links it has, and makes new ones by itself. */
const goodbyeMs = 1_000

/** What a member does about keys while it runs: certificates in time, news of roots and removed nodes, the control file. */
export class KeyWork {
  readonly #world: KeyWorkWorld
  readonly #certificates: CertificateKeeper
  readonly #trust: TrustFollower
  readonly #control: ControlFile | undefined
  #cancelGoodbye: (() => void) | undefined

  constructor(world: KeyWorkWorld) {
    const { own, pool, dir, clock, random, logger } = world
    this.#world = world
    this.#certificates = new CertificateKeeper({
      clock,
      random,
      logger,
      credentials: own.credentials,
      bridge: () => this.#bridge(),
      renew: (keys) => this.#renew(keys),
      adopt: (keys, answer) => world.renewed(keys, answer),
    })
    this.#trust = new TrustFollower({ pool, clock, logger, learn: (news) => this.learn(news) })
    if (dir !== undefined) this.#control = new ControlFile({ dir, clock, logger, issue: () => this.#issueControl() })
  }

  start(): void {
    this.#trust.start(this.#world.managers().map(({ node }) => node))
  }

  /** From when this peer can become what a new certificate says. */
  keepCertificate(): void {
    const { own, self } = this.#world
    this.#certificates.start()
    if (own.credentials.role !== self().role) this.renew() // it ended in the middle of a promotion or demotion
  }

  async stop(): Promise<void> {
    this.#cancelGoodbye?.()
    await this.#control?.stop()
    await this.#certificates.stop()
    await this.#trust.stop()
  }

  /** Once there is somebody who can issue its certificate; called again it does nothing. */
  async startControlFile(): Promise<void> {
    await this.#control?.start()
  }

  /** Asks what this peer is to be: a new certificate says so. */
  renew(): void {
    this.#certificates.renew()
  }

  /** This peer has another role: whoever reads its control file may do other things. */
  renewControlFile(): void {
    this.#control?.renew()
  }

  /** From the own tables, or from a manager. */
  learn(news: TrustNews): void {
    const { own, pool, logger } = this.#world
    if (!own.learn(news)) return
    for (const node of news.removed) pool.forget(node)
    pool.dismiss(own.removed, 'removed')
    this.#world.removed(news.removed)
    this.#hearOfRoles(news)
    own.save().catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'the keys could not be saved'))
  }

  /** What is said of others ends links that count for too much, once they have heard of it themselves. */
  #hearOfRoles({ demoted, called }: TrustNews): void {
    const { own, pool, clock, self } = this.#world
    const { node } = self()
    const isCalled = called.includes(node) && own.credentials.role !== 'manager'
    if (isCalled || (demoted.includes(node) && own.credentials.role === 'manager')) this.renew()
    if (demoted.length === 0) return
    this.#cancelGoodbye ??= clock.after(goodbyeMs, () => {
      this.#cancelGoodbye = undefined
      pool.dismiss(own.credentials.demoted, 'demoted', 'manager')
    })
  }

  /**
   * A manager whose certificate is not in time goes on with one of its own making until it is renewed: the cluster was off for its whole
   * life, or it was made while a clock was ahead.
   */
  #bridge(): boolean {
    const { own, clock, logger, self, manager } = this.#world
    const nowMs = clock.wallMs()
    const { certificate: stored } = own
    const { certificate: shown } = own.credentials
    if (stored === undefined || shown === undefined) return false
    const validity = readCertificate(stored)
    if (isInTime(validity, nowMs)) {
      own.show(stored) // the clock may have been wrong for a while
      return false
    }
    if (isInTime(shown, nowMs)) return false
    // To the end of one that has not begun: should it be our own clock that is behind, the others take it too.
    const stopgap = manager()?.desk.stopgap(self().node, own.keys.publicKey, validity.notAfterMs)
    if (stopgap === undefined) return false
    const [begins, ends, now] = [validity.notBeforeMs, validity.notAfterMs, nowMs].map((atMs) => new Date(atMs).toISOString())
    logger.warn(
      { begins, ends, now },
      'this manager’s certificate is not in time by its clock; it shows one it made itself until it is renewed',
    )
    own.show(stopgap)
    return true
  }

  async #renew(keys: KeyPair): Promise<RenewAnswer> {
    const { pool, clock, random, signal } = this.#world
    const { node: id } = this.#world.self()
    const prove = (binding: Uint8Array): KeyRequest => {
      const { publicKey } = keys
      return { publicKey, proof: provePossession(keys, { purpose: 'renew', id, publicKey, binding }) }
    }
    const manager = this.#world.manager()
    const askItself = async (self: Manager): Promise<RenewAnswer> => {
      const binding = randomBytes(bindingBytes) // of no connection
      const key = this.#world.own.credentials.certificate?.fingerprint ?? ''
      return await self.joining().renew({ node: id, role: 'manager', key }, prove(binding), binding)
    }
    if (manager?.leading) return await askItself(manager)
    const addresses = this.#world.managers().flatMap(({ node, address }) => (node === id ? [] : [address]))
    if (addresses.length === 0) throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'no other manager is known', { address: 'none' })
    const over = new AbortController()
    const options = { pool, addresses, clock, random, what: 'renew', timeoutMs: renewTimeoutMs }
    const asking = AbortSignal.any([signal, over.signal])
    // Who begins to lead has nobody to ask but itself.
    if (manager !== undefined) void leads(manager, asking).then(() => over.abort())
    try {
      return await askManagers({ ...options, signal: asking }, async (link) =>
        readRenewAnswer(await link.call('join.renew', prove(link.binding), { deadlineMs: callMs })),
      )
    } catch (error) {
      if (manager?.leading) return await askItself(manager)
      throw error
    } finally {
      over.abort()
    }
  }

  /** A manager makes it itself, with or without a quorum; a worker asks for one that may do what its apps may. */
  async #issueControl(): Promise<KeyString> {
    const { random } = this.#world
    const { address } = this.#world.self()
    // Who only dials out is not asked itself: what it may do, its managers are asked for.
    const addresses = address === '' ? this.#world.managers().map((each) => each.address) : [address]
    const keys = await makeKeyPair()
    const manager = this.#world.manager()
    // One that has just begun has no records yet to issue by.
    if (manager?.store.view().cluster === undefined) {
      const { own, trust } = await askCredential(await this.#world.managerLink(callMs), keys, undefined, random)
      return { own, trust, addresses }
    }
    const { publicKey } = keys
    const [id, binding] = [makeId(random), randomBytes(bindingBytes)]
    const proof = provePossession(keys, { purpose: 'credential', id, publicKey, binding })
    const { certificate, trust } = manager.desk.credential(
      { role: 'manager' },
      { id, publicKey, proof, token: undefined },
      binding,
    )
    return { own: { certificate, keys }, trust, addresses }
  }
}

/** Resolves when this manager leads, or at the signal. */
async function leads(manager: Manager, signal: AbortSignal): Promise<void> {
  while (!manager.leading && !signal.aborted) await manager.newsWithin(renewTimeoutMs, signal)
}
