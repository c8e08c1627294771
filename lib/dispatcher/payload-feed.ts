import type { AssignedPayload } from '../api/session.js'

/** What one worker holds of one kind of payload by our word, and what to tell it next. Pure. */
export class PayloadFeed {
  readonly #told = new Set<string>()

  /** The worker holds nothing. */
  beginAnew(): void {
    this.#told.clear()
  }

  /** Those to forget: told before, needed no more. */
  dropped(needed: ReadonlySet<string>): readonly string[] {
    const ids = [...this.#told].filter((id) => !needed.has(id))
    for (const id of ids) this.#told.delete(id)
    return ids
  }

  /** The next to send, until they fill `roomBytes`; the last may be larger than what is left. More may be wanting: ask again. */
  next(needed: ReadonlySet<string>, roomBytes: number, find: (id: string) => Uint8Array | undefined): readonly AssignedPayload[] {
    const payloads: AssignedPayload[] = []
    let leftBytes = roomBytes
    for (const id of needed) {
      if (leftBytes <= 0) break
      if (this.#told.has(id)) continue
      this.#told.add(id)
      const data = find(id)
      leftBytes -= data?.length ?? 0
      payloads.push(data === undefined ? { id } : { id, data })
    }
    return payloads
  }
}
