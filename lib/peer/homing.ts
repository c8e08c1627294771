/**
 * A worker's way back to its own manager. Managers that restart one after another leave all workers with the one that restarted first:
 * each of them goes back to the first in its own order, so that they spread as they would have at first. Nothing is hurried: a manager
 * has to be steady, each worker goes at a moment of its own, and its session stands while only the way to the leader changes.
 */
import type { ManagerAddress } from '../api/session.js'
import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import type { LinkPool } from '../overlay/transport/index.js'

/** Everything the next step depends on. Times by our own clock. */
export interface HomingView {
  /** First in this worker's order of managers; undefined: none is known. */
  readonly home: string | undefined
  /** Through whom the session goes. */
  readonly through: string
  /** Since when both of these are what they are, or since the last try. */
  readonly sinceMs: number
  /** Drawn from [0, 1) for each try. */
  readonly draw: number
  /** The link to `home` that is being tried. */
  readonly trial: { readonly sinceMs: number; readonly upSinceMs: number | undefined } | undefined
  readonly nowMs: number
}

export interface HomingPlan {
  /** `try`: hold a link to `home`; `move`: it is steady, the session may go through it; `give-up`: it cannot be linked, let go. */
  readonly act: 'none' | 'try' | 'move' | 'give-up'
  readonly lookAtMs: number
}

/** Managers restart one after another: who has just lost its manager waits until that is likely over. */
export const settleMs = 30_000
/** Workers go home within this, each at a moment of its own: of 10,000 some hundred a second, half of what a leader lets in. */
export const spreadMs = 60_000
/** A link that stood for so long will. */
const steadyMs = 3_000
const trialMs = 10_000
const trialLookMs = 500
/** The list of managers is looked at again. */
const idleLookMs = 5_000

/** The next step, and when to plan again. Pure. */
export function planHoming({ home, through, sinceMs, draw, trial, nowMs }: HomingView): HomingPlan {
  if (home === undefined || home === through) return { act: 'none', lookAtMs: nowMs + idleLookMs }
  const goAtMs = sinceMs + settleMs + draw * spreadMs
  if (nowMs < goAtMs) return { act: 'none', lookAtMs: Math.min(goAtMs, nowMs + idleLookMs) }
  const lookAtMs = nowMs + trialLookMs
  if (trial === undefined) return { act: 'try', lookAtMs }
  if (trial.upSinceMs !== undefined && nowMs - trial.upSinceMs >= steadyMs) return { act: 'move', lookAtMs }
  return { act: nowMs - trial.sinceMs >= trialMs ? 'give-up' : 'none', lookAtMs }
}

export interface HomingWorld {
  readonly clock: Clock
  readonly random: Random
  readonly pool: Pick<LinkPool, 'keep' | 'release' | 'link'>
  /** First in this worker's order of managers. */
  home(): ManagerAddress | undefined
  /** Through whom the session goes now. */
  through(): string
  /** Whether the session is known there. */
  isKnownAt(manager: string): Promise<boolean>
  move(to: ManagerAddress): void
}

const user = 'homing'

/** Carries the plan out, for as long as one session stands. */
export class Homing {
  readonly #world: HomingWorld
  #home: ManagerAddress | undefined
  #through = ''
  #sinceMs = 0
  #draw = 0
  #trial: { readonly sinceMs: number; upSinceMs: number | undefined } | undefined
  #cancel: (() => void) | undefined
  #isOver = false

  constructor(world: HomingWorld) {
    this.#world = world
  }

  start(): void {
    this.#look()
  }

  /** Any number of times. */
  stop(): void {
    this.#isOver = true
    this.#cancel?.()
    this.#letGo()
  }

  /** As of the last look: the session goes through another manager than its own. */
  get isAway(): boolean {
    return !this.#isOver && this.#home !== undefined && this.#home.node !== this.#through
  }

  #look(): void {
    const { clock, pool, home, through } = this.#world
    const nowMs = clock.now()
    const [next, now] = [home(), through()]
    if (next?.node !== this.#home?.node || next?.address !== this.#home?.address || now !== this.#through) {
      this.#letGo()
      this.#home = next
      this.#through = now
      this.#beginAnew()
    }
    if (this.#trial !== undefined && next !== undefined) {
      if (pool.link(next.node) === undefined) this.#trial.upSinceMs = undefined
      else this.#trial.upSinceMs ??= nowMs
    }
    const plan = planHoming({
      home: next?.node,
      through: now,
      sinceMs: this.#sinceMs,
      draw: this.#draw,
      trial: this.#trial,
      nowMs,
    })
    if (plan.act === 'try' && next !== undefined) {
      this.#trial = { sinceMs: nowMs, upSinceMs: pool.link(next.node) === undefined ? undefined : nowMs }
      pool.keep(next.node, next.address, user)
    } else if (plan.act === 'give-up') {
      this.#letGo()
      this.#beginAnew()
    }
    if (plan.act === 'move' && next !== undefined) void this.#move(next)
    else this.#cancel = clock.after(plan.lookAtMs - nowMs, () => this.#look())
  }

  /** Never rejects. */
  async #move(to: ManagerAddress): Promise<void> {
    const isKnown = await this.#world.isKnownAt(to.node)
    if (this.#isOver) return
    if (isKnown) this.#world.move(to)
    this.#letGo()
    this.#beginAnew()
    this.#look()
  }

  #beginAnew(): void {
    this.#sinceMs = this.#world.clock.now()
    this.#draw = this.#world.random()
  }

  #letGo(): void {
    if (this.#trial === undefined || this.#home === undefined) return
    this.#trial = undefined
    this.#world.pool.release(this.#home.node, user)
  }
}
