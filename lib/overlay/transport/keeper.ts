import { backoffMs } from '../../base/backoff.js'
import { SkeinError } from '../../base/errors.js'
import type { ResolvedLinkOptions } from './options.js'

/** What a keeper needs of its pool. */
export interface KeeperWorld {
  readonly options: ResolvedLinkOptions
  /** Dials and adopts the link; rejects when there is none. */
  dial(address: string, signal: AbortSignal): Promise<unknown>
  isUp(): boolean
  missed(address: string, error: SkeinError): void
}

/** Refusals that only an operator can lift: asked again, but no more often than the slowest redial. */
const lasting: ReadonlySet<string> = new Set([
  'ERR_SKEIN_REMOVED',
  'ERR_SKEIN_BAD_CERTIFICATE',
  'ERR_SKEIN_OTHER_CLUSTER',
  'ERR_SKEIN_WIRE_VERSION',
  'ERR_SKEIN_FORBIDDEN',
])
const slowest = 30

/** Holds a link to one peer: dials whenever there is none, with growing and jittered pauses. */
export class Keeper {
  readonly #world: KeeperWorld
  readonly #stopping = new AbortController()
  #address: string
  #attempt = 0
  #upSinceMs: number | undefined
  #dialling = false
  #cancelTimer: (() => void) | undefined

  constructor(address: string, world: KeeperWorld) {
    this.#address = address
    this.#world = world
  }

  get address(): string {
    return this.#address
  }

  start(): void {
    void this.#dial()
  }

  /** A new address is dialled at once: what failed at the old one says nothing about it. */
  move(address: string): void {
    if (address === this.#address) return
    this.#address = address
    this.#attempt = 0
    this.#pause(0)
  }

  linkUp(): void {
    this.#upSinceMs = this.#world.options.clock.now()
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  linkDown(): void {
    const { clock, redial } = this.#world.options
    // Only a link that lasted counts as success: two peers that keep closing each other's links must slow down too.
    const lasted = this.#upSinceMs !== undefined && clock.now() - this.#upSinceMs >= redial.maxMs
    if (lasted) this.#attempt = 0
    this.#upSinceMs = undefined
    this.#next()
  }

  stop(): void {
    this.#stopping.abort()
    this.#cancelTimer?.()
  }

  #next(): void {
    const { redial, random } = this.#world.options
    this.#pause(backoffMs(this.#attempt++, redial, random))
  }

  #pause(delayMs: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#stopping.signal.aborted || this.#dialling) return
    this.#cancelTimer = this.#world.options.clock.after(delayMs, () => void this.#dial())
  }

  /** Never rejects. */
  async #dial(): Promise<void> {
    const { signal } = this.#stopping
    if (this.#dialling || signal.aborted || this.#world.isUp()) return
    const address = this.#address
    this.#dialling = true
    try {
      await this.#world.dial(address, signal)
    } catch (error) {
      if (signal.aborted) return
      const refusal = error instanceof SkeinError ? error : unexpected(address, error)
      if (lasting.has(refusal.code)) this.#attempt = slowest
      this.#world.missed(address, refusal)
    } finally {
      this.#dialling = false
    }
    if (!this.#world.isUp()) this.#next()
  }
}

function unexpected(address: string, cause: unknown): SkeinError {
  return new SkeinError('ERR_SKEIN_UNREACHABLE', `${address}: ${String(cause)}`, { address }, { cause })
}
