/**
 * When a worker stops, by itself, tasks that must never run twice: it does not know of what a leader concludes that it cannot hear.
 * It counts from when it sent what a leader answered, and that leader from when it heard it or later, so the worker is done first.
 */
import type { Clock } from '../base/clock.js'
import { earlierBy, type Moment, momentOf, sinceMs } from '../base/moment.js'

/** A task here that stops itself. */
export interface FencedTask {
  readonly id: string
  readonly afterMs: number
}

export interface FenceRuling {
  /** Tasks to be stopped now. */
  readonly due: readonly FencedTask[]
  /** Milliseconds until another one is due; undefined: none is left. */
  readonly nextMs: number | undefined
}

/** Pure. @param contact When the leader was last known to lead and hear this node; undefined: not since this process began. */
export function ruleFence(tasks: Iterable<FencedTask>, contact: Moment | undefined, now: Moment): FenceRuling {
  const silentMs = contact === undefined ? Number.POSITIVE_INFINITY : sinceMs(contact, now)
  const due: FencedTask[] = []
  let nextMs: number | undefined
  for (const task of tasks) {
    if (silentMs >= task.afterMs) due.push(task)
    else nextMs = Math.min(nextMs ?? Number.POSITIVE_INFINITY, task.afterMs - silentMs)
  }
  return { due, nextMs }
}

export interface FenceWorld {
  readonly clock: Clock
  /** Tasks that stop themselves, have not ended and are not being stopped. */
  tasks(): Iterable<FencedTask>
  /** Stops it for good. */
  stop(id: string, why: string): void
}

/** A machine that slept finds out within this that it did: its timers may have stood still with it. */
const lookMs = 250

/** Keeps the rule while there are tasks under it. */
export class Fence {
  readonly #world: FenceWorld
  #contact: Moment | undefined
  #shut: string | undefined
  #cancel: (() => void) | undefined
  #isClosed = false

  constructor(world: FenceWorld) {
    this.#world = world
  }

  /**
   * What was sent then was answered by somebody who led `ledAgoMs` before it answered, or later. What fell due before the answer came
   * is stopped first: a word from before a sleep says nothing of the time since.
   */
  heard(sent: Moment, ledAgoMs: number): void {
    this.look()
    const contact = earlierBy(ledAgoMs, sent)
    if (this.#contact === undefined || contact.nowMs > this.#contact.nowMs) this.#contact = contact
  }

  /** Stops what is due, and wakes when the next may be. To be called when tasks have come. */
  look(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#isClosed) return
    const { clock, stop, tasks } = this.#world
    if (this.#shut !== undefined) for (const { id } of [...tasks()]) stop(id, this.#shut)
    const { due, nextMs } = ruleFence([...tasks()], this.#contact, momentOf(clock))
    for (const { id, afterMs } of due) stop(id, this.#why(afterMs))
    if (nextMs !== undefined) this.#cancel = clock.after(Math.min(Math.ceil(nextMs), lookMs), () => this.look())
  }

  /** From now on every such task is stopped, as if no manager could be heard any more. */
  shut(why: string): void {
    this.#shut ??= why
    this.look()
  }

  /** Nothing is looked at any more. */
  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#cancel = undefined
  }

  #why(afterMs: number): string {
    return this.#contact === undefined
      ? 'fenced: no manager since the peer started'
      : `fenced: no manager for ${afterMs / 1_000} s`
  }
}
