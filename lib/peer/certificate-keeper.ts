import type { RenewAnswer } from '../api/join.js'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import { type Credentials, checkNew, type KeyPair, makeKeyPair, readCertificate, renewalDelayMs } from '../security/index.js'

export interface CertificateKeeperWorld {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly credentials: Credentials
  /** Shows a certificate of this peer's own making when its own is not in time and it can make one; true when it did. */
  bridge(): boolean
  /** Asks the leader for a certificate for these keys. */
  renew(keys: KeyPair): Promise<RenewAnswer>
  /** Shows the new certificate from now on, and keeps it. */
  adopt(keys: KeyPair, answer: RenewAnswer): Promise<void>
}

/** A root rotation makes every node renew: spread over this, a thousand of them are 200 a second. */
const rotationSpreadMs = 5_000

/** Renews this peer's certificate in time, and at once when a newer root issues; links that are up stay. */
export class CertificateKeeper {
  readonly #world: CertificateKeeperWorld
  #chance: number
  /** Reasons given so far to renew at once, and how many of them were there when the last renewal began. */
  #reasons = 0
  #answered = 0
  #failures = 0
  #cancel: (() => void) | undefined
  #unobserve: (() => void) | undefined
  #work: Promise<void> | undefined

  constructor(world: CertificateKeeperWorld) {
    this.#world = world
    this.#chance = world.random()
  }

  start(): void {
    this.#unobserve = this.#world.credentials.observe(() => this.#schedule())
    this.#schedule()
  }

  /** Renews now, whatever the certificate's age; again until it succeeds. */
  renew(): void {
    this.#reasons++
    this.#schedule()
  }

  get #isAsked(): boolean {
    return this.#reasons > this.#answered
  }

  async stop(): Promise<void> {
    this.#unobserve?.()
    this.#cancel?.()
    this.#unobserve = undefined
    await this.#work
  }

  #schedule(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#work !== undefined || this.#unobserve === undefined) return
    const delayMs = this.#delayMs()
    if (delayMs !== undefined) this.#cancel = this.#world.clock.after(delayMs, () => this.#due())
  }

  #delayMs(): number | undefined {
    const { credentials, clock, random } = this.#world
    const { certificate } = credentials
    if (certificate === undefined) return undefined
    if (this.#isAsked && this.#failures === 0) return 0
    if (credentials.isOfNewestRoot && !this.#isAsked)
      return renewalDelayMs(certificate, this.#chance, clock.wallMs(), this.#failures)
    if (this.#failures > 0) return Math.min(1_000 * 2 ** this.#failures, 60_000) * (0.5 + random() / 2)
    return random() * rotationSpreadMs
  }

  #due(): void {
    const { credentials, clock } = this.#world
    const { certificate } = credentials
    if (certificate === undefined) return
    const isDue =
      this.#isAsked || !credentials.isOfNewestRoot || renewalDelayMs(certificate, this.#chance, clock.wallMs(), 0) === 0
    if (!isDue) {
      this.#schedule()
      return
    }
    this.#work = this.#renew().finally(() => {
      this.#work = undefined
      this.#schedule()
    })
  }

  /** Never rejects: what fails is tried again, long before the certificate ends; the one there is stays until there is a better one. */
  async #renew(): Promise<void> {
    const { bridge, renew, adopt, clock, logger, random } = this.#world
    try {
      const keys = await makeKeyPair()
      if (bridge()) this.#reasons++
      const reasons = this.#reasons // one that comes while the answer is on its way may be news to it
      const answer = await renew(keys)
      const validity = readCertificate(answer.certificate)
      checkNew(validity, clock.wallMs())
      await adopt(keys, answer)
      this.#answered = reasons
      this.#chance = random()
      const isOld = renewalDelayMs(validity, this.#chance, clock.wallMs(), 0) === 0
      // The clocks differ by half of its life or more: the next one would be as old, so there is no hurry.
      this.#failures = isOld ? this.#failures + 1 : 0
    } catch (error) {
      this.#failures += 1
      logger.warn({ error: messageOf(error), failures: this.#failures }, 'the certificate could not be renewed; trying again')
    }
  }
}
