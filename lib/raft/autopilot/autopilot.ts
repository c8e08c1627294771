import createDebug from 'debug'
import type { Clock } from '../../base/clock.js'
import { messageOf } from '../../base/errors.js'
import { Health, type Look } from './health.js'
import type { ResolvedAutopilotOptions } from './options.js'
import { type AutopilotPlan, type AutopilotStep, planAutopilot } from './plan.js'

const debug = createDebug('skein:autopilot')

export interface AutopilotWorld {
  readonly clock: Clock
  readonly options: ResolvedAutopilotOptions
  /** What this peer sees while it leads; undefined while it does not. */
  look(): Look | undefined
  /** Proposes the change; resolves when it is in force. */
  carryOut(step: AutopilotStep): Promise<void>
}

/** Looks at the members while this peer leads and carries out one step at a time. Starts and ends nothing but changes of members. */
export class Autopilot {
  readonly #world: AutopilotWorld
  readonly #health: Health
  readonly #lookEveryMs: number
  #cancel: (() => void) | undefined
  #work: Promise<void> | undefined
  #plan: AutopilotPlan | undefined

  constructor(world: AutopilotWorld) {
    this.#world = world
    const { healthyMs, lagEntriesMax } = world.options
    this.#lookEveryMs = Math.max(1, Math.floor(healthyMs / 4))
    this.#health = new Health({ lagEntriesMax, lateMs: healthyMs })
  }

  /** What it would do next and what it waits for; undefined while this peer does not lead. */
  get plan(): AutopilotPlan | undefined {
    return this.#plan
  }

  start(): void {
    this.#cancel ??= this.#world.clock.every(this.#lookEveryMs, () => this.#look())
  }

  /** Resolves when no step is under way any more. Any number of times. */
  async stop(): Promise<void> {
    this.#cancel?.()
    await this.#work
  }

  #look(): void {
    const { clock, options } = this.#world
    const seen = this.#world.look()
    this.#plan = seen && planAutopilot(this.#health.look(seen, clock.now()), clock.now(), options)
    const step = this.#plan?.step
    if (step === undefined || this.#work !== undefined) return
    debug('%o', step)
    this.#work = this.#world
      .carryOut(step)
      // Refused, or leadership was lost: the next look plans again from what is then.
      .catch((error: unknown) => debug('%s %d: %s', step.act, step.id, messageOf(error)))
      .finally(() => {
        this.#work = undefined
      })
  }
}
