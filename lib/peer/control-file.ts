import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { formatKeyString, type KeyString, readCertificate } from '../security/index.js'
import { removeControlFile, type StateDir, writeControlFile } from './state-dir.js'

export interface ControlFileWorld {
  readonly dir: StateDir
  readonly clock: Clock
  readonly logger: Logger
  /** A certificate for whoever reads the file. */
  issue(): Promise<KeyString>
}

/** How often the certificate's age is looked at, and a failed renewal tried again. */
const lookMs = 600_000

/** The file by which commands on this machine reach the running peer, with a certificate of their own that is kept fresh. */
export class ControlFile {
  readonly #world: ControlFileWorld
  #cancel: (() => void) | undefined
  #renewAtMs = 0
  #work: Promise<void> = Promise.resolve()

  constructor(world: ControlFileWorld) {
    this.#world = world
  }

  /** Writes it, and from then on keeps it fresh; called again it does nothing. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, or what `issue` says */
  async start(): Promise<void> {
    if (this.#cancel !== undefined) return
    await this.#write()
    this.#cancel = this.#world.clock.every(lookMs, () => {
      if (this.#world.clock.wallMs() < this.#renewAtMs) return
      this.#work = this.#write().catch((error: unknown) =>
        this.#world.logger.warn({ error: messageOf(error) }, 'the control file could not be renewed; trying again'),
      )
    })
  }

  async stop(): Promise<void> {
    this.#cancel?.()
    await this.#work
    await removeControlFile(this.#world.dir)
  }

  async #write(): Promise<void> {
    const { dir, issue } = this.#world
    const key = await issue()
    await writeControlFile(dir, formatKeyString(key))
    const { notBeforeMs, notAfterMs } = readCertificate(key.own.certificate)
    this.#renewAtMs = (notBeforeMs + notAfterMs) / 2
  }
}
