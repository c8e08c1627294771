/** Changes handed to whoever watches: resumable from a version, bounded, never silent. */
import { BoundedQueue } from '../base/bounded-queue.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { Rounds } from '../base/rounds.js'
import type { Change, ChangeKind, StoreChange } from './changes.js'

export type { StoreChange } from './changes.js'

export interface WatchOptions {
  /** Only these; default all. */
  readonly kinds?: readonly ChangeKind[]
  /** What came after this version; default what comes from now on. */
  readonly since?: number
  readonly signal?: AbortSignal
}

/** Changes one watcher may fall behind before it must list again. */
export const queuedMax = 10_000
/** Changes kept for watchers that come back. */
export const retainedMax = 10_000
/** Longest silence of a watch, in milliseconds. */
export const markEveryMs = 10_000

export class Watchers {
  readonly #marks: Rounds
  /** Each with what lets go of its marks and its signal. */
  readonly #watchers = new Map<Watcher, () => void>()
  #retained: Change[] = []
  /** Changes up to here are no longer retained. */
  #forgotten: number
  #version: number
  #closed = false

  constructor(clock: Clock, version: number) {
    this.#marks = new Rounds(clock, markEveryMs)
    this.#forgotten = version
    this.#version = version
  }

  /** Everything up to `version` has been told. */
  get version(): number {
    return this.#version
  }

  publish(changes: readonly Change[], version: number): void {
    this.#version = version
    for (const change of changes) this.#retained.push(change)
    // Halving keeps this amortised: between one and two times the bound are held.
    if (this.#retained.length > 2 * retainedMax) {
      const cut = this.#retained.length - retainedMax
      this.#forgotten = (this.#retained[cut - 1] as Change).version
      this.#retained = this.#retained.slice(cut)
    }
    if (changes.length === 0) return
    for (const watcher of this.#watchers.keys()) watcher.push(changes)
  }

  /** The tables were replaced as a whole: nobody can go on from where they were. */
  reset(version: number): void {
    this.#version = version
    this.#retained = []
    this.#forgotten = version
    for (const watcher of this.#watchers.keys()) watcher.lose()
  }

  /** Ends when the signal fires or the store closes. May be iterated once. */
  watch({ kinds, since = this.#version, signal }: WatchOptions = {}): AsyncIterable<StoreChange> {
    return this.#follow(new Watcher(kinds), since, signal)
  }

  close(): void {
    this.#closed = true
    for (const release of this.#watchers.values()) release()
  }

  async *#follow(watcher: Watcher, since: number, signal: AbortSignal | undefined): AsyncGenerator<StoreChange, void, void> {
    if (since < this.#forgotten) watcher.lose()
    else watcher.push(this.#retained.filter((change) => change.version > since))
    const stopMarks = this.#marks.add(() => watcher.owe())
    // Not left to the reader: one that went away between two changes never comes back to here.
    const release = (): void => {
      signal?.removeEventListener('abort', release)
      stopMarks()
      this.#watchers.delete(watcher)
      watcher.wake()
    }
    this.#watchers.set(watcher, release)
    signal?.addEventListener('abort', release)
    try {
      while (!this.#closed && signal?.aborted !== true) {
        const next = watcher.take(this.#version)
        if (next === undefined) await watcher.woken()
        else yield next
      }
    } finally {
      release()
    }
  }
}

/** One reader's place: what it has not taken yet, whether something was lost to it, whether a mark is owed. */
class Watcher {
  readonly #kinds: ReadonlySet<ChangeKind> | undefined
  readonly #queue = new BoundedQueue<Change>(queuedMax, 'refuse')
  #lost = false
  #owed = true
  #waiting: Deferred<void> | undefined

  constructor(kinds: readonly ChangeKind[] | undefined) {
    this.#kinds = kinds && new Set(kinds)
  }

  push(changes: readonly Change[]): void {
    // After a loss nothing needs keeping: the reader lists again when it takes the resync, and sees all of it.
    for (const change of changes) {
      if (this.#lost) return
      if (this.#kinds !== undefined && !this.#kinds.has(change.kind)) continue
      if (!this.#queue.push(change)) this.lose()
    }
    this.wake()
  }

  lose(): void {
    this.#lost = true
    this.#queue.drain()
    this.wake()
  }

  owe(): void {
    this.#owed = true
    this.wake()
  }

  /** What to hand out next; `version` is what a resync or a mark speaks for. */
  take(version: number): StoreChange | undefined {
    if (this.#lost) {
      this.#lost = false
      this.#owed = false
      return { type: 'resync', version }
    }
    const change = this.#queue.shift()
    if (change !== undefined) return change
    if (!this.#owed) return undefined
    this.#owed = false
    return { type: 'mark', version }
  }

  woken(): Promise<void> {
    this.#waiting ??= deferred()
    return this.#waiting.promise
  }

  wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}
