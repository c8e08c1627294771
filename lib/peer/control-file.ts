import type { Clock } from '../base/clock.js'
import { isSkeinError, messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { formatKeyString, isInTime, type KeyString, readCertificate, type Validity } from '../security/index.js'
import { removeControlFile, type StateDir, writeControlFile } from './state-dir.js'

export interface ControlFileWorld {
  readonly dir: StateDir
  readonly clock: Clock
  readonly logger: Logger
  /** A certificate for whoever reads the file. */
  issue(): Promise<KeyString>
}

/** How often the certificate's age is looked at, and a failed try made again. */
const lookMs = 5_000
/** One that begins in the future by this machine's clock is no better at once. */
const clocksMs = 60_000

/** The file by which commands on this machine reach the running peer, with a certificate of their own that is kept fresh. */
export class ControlFile {
  readonly #world: ControlFileWorld
  #cancel: (() => void) | undefined
  #isWriting = false
  #written: { readonly validity: Validity; readonly atMs: number } | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(world: ControlFileWorld) {
    this.#world = world
  }

  /** Writes it as soon as there is a certificate for it, and keeps it fresh; called again it does nothing. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
  async start(): Promise<void> {
    if (this.#cancel !== undefined) return
    this.#cancel = this.#world.clock.every(lookMs, () => {
      if (!this.#isWriting && this.#isDue()) this.#work = this.#try()
    })
    this.#work = this.#write()
    await this.#work.catch((error: unknown) => {
      if (isSkeinError(error, 'ERR_SKEIN_DIR_UNUSABLE')) throw error
      this.#warn(error)
    })
  }

  /** Another certificate, since this peer has another role. */
  renew(): void {
    if (this.#cancel === undefined) return
    this.#work = this.#work.catch(() => undefined).then(() => this.#try()) // what failed before was said to whoever waited for it
  }

  async stop(): Promise<void> {
    this.#cancel?.()
    await this.#work.catch(() => undefined) // said to whoever waited for it
    await removeControlFile(this.#world.dir)
  }

  /** Half of its life is over, or it is not in time: a clock was set. */
  #isDue(): boolean {
    const { clock } = this.#world
    if (this.#written === undefined) return true
    const { validity, atMs } = this.#written
    const nowMs = clock.wallMs()
    const isOld = nowMs >= (validity.notBeforeMs + validity.notAfterMs) / 2
    return isOld || (!isInTime(validity, nowMs) && clock.now() >= atMs + clocksMs)
  }

  async #try(): Promise<void> {
    await this.#write().catch((error: unknown) => this.#warn(error))
  }

  #warn(error: unknown): void {
    this.#world.logger.warn({ error: messageOf(error) }, 'no certificate for the control file yet; trying again')
  }

  async #write(): Promise<void> {
    const { dir, clock, issue } = this.#world
    this.#isWriting = true
    try {
      const key = await issue()
      await writeControlFile(dir, formatKeyString(key))
      this.#written = { validity: readCertificate(key.own.certificate), atMs: clock.now() }
    } finally {
      this.#isWriting = false
    }
  }
}
