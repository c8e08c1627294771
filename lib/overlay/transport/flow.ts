import { type Deferred, deferred } from '../../base/deferred.js'

/**
 * Bytes of a stream that may be on their way or unread at once. A sender may begin an item while anything of this is
 * left, so a slow reader holds at most this and one item more.
 */
export const windowBytes = 256 * 1024

type Taken = { readonly done: false; readonly value: unknown } | { readonly done: true }

/** The reading end of a stream: holds what arrived, says when it was taken. */
export class Inlet {
  readonly #grant: (bytes: number) => void
  readonly #items: { readonly value: unknown; readonly sizeBytes: number }[] = []
  #ungrantedBytes = 0
  #takenBytes = 0
  /** Set once no more will come; with an error when it broke off. */
  #end: { readonly error?: unknown } | undefined
  #waiting: Deferred<Taken> | undefined

  constructor(grant: (bytes: number) => void) {
    this.#grant = grant
  }

  /** False when the sender had no credit left: it breaks the protocol. */
  push(value: unknown, sizeBytes: number): boolean {
    if (this.#ungrantedBytes >= windowBytes) return false
    if (this.#end !== undefined) return true // it crossed our giving up on the way
    this.#ungrantedBytes += sizeBytes
    if (this.#waiting === undefined) this.#items.push({ value, sizeBytes })
    else {
      const { resolve } = this.#waiting
      this.#waiting = undefined
      this.#took(sizeBytes)
      resolve({ done: false, value })
    }
    return true
  }

  /** No more will come. What is here can still be taken, and then the error if there is one. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return
    this.#end = error === undefined ? {} : { error }
    this.#wakeAtEnd()
  }

  /** It broke off: what is here is dropped, and the reader gets the error. */
  fail(error: unknown): void {
    if (this.#end !== undefined && this.#items.length === 0) return
    this.#items.length = 0
    this.#end = { error }
    this.#wakeAtEnd()
  }

  /** The next item; one reader at a time. Rejects with what `fail` or `end` was given. */
  take(): Promise<Taken> {
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#took(item.sizeBytes)
      return Promise.resolve({ done: false, value: item.value })
    }
    this.#waiting = deferred<Taken>()
    const { promise } = this.#waiting
    this.#wakeAtEnd()
    return promise
  }

  /** A reader waits only while there are no items, so the end is what it gets. */
  #wakeAtEnd(): void {
    if (this.#end === undefined || this.#waiting === undefined) return
    if ('error' in this.#end) this.#waiting.reject(this.#end.error)
    else this.#waiting.resolve({ done: true })
    this.#waiting = undefined
  }

  /** Credit goes back in halves of the window, not with every item. */
  #took(sizeBytes: number): void {
    this.#takenBytes += sizeBytes
    if (this.#takenBytes < windowBytes / 2 || this.#end !== undefined) return
    this.#ungrantedBytes -= this.#takenBytes
    this.#grant(this.#takenBytes)
    this.#takenBytes = 0
  }
}

/** The writing end of a stream: knows how much the reader will still take. */
export class Outlet {
  #creditBytes = windowBytes
  #waiting: Deferred<void> | undefined

  spend(sizeBytes: number): void {
    this.#creditBytes -= sizeBytes
  }

  grant(bytes: number): void {
    this.#creditBytes += bytes
    if (this.#creditBytes > 0) this.release()
  }

  /** Resolves when an item may be sent, or after `release`; one writer at a time. */
  ready(): Promise<void> {
    if (this.#creditBytes > 0) return Promise.resolve()
    this.#waiting ??= deferred()
    return this.#waiting.promise
  }

  /** Lets the writer go on, to find that its call is over. */
  release(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}
