import type { AssignedPayload } from '../api/session.js'
import { abortable } from '../base/abort.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'
import type { PayloadKind, PayloadRef } from '../model/payload.js'

/**
 * The secrets, or the configs, of this node's tasks: in memory alone, for as long as the manager says that a task here needs them.
 * What is dropped is overwritten first; copies that a task was given are its driver's.
 */
export class PayloadVault {
  readonly #kind: PayloadKind
  /** By id; undefined: the cluster cannot give it. */
  readonly #held = new Map<string, Uint8Array | undefined>()
  #changed: Deferred<void> = deferred()

  constructor(kind: PayloadKind) {
    this.#kind = kind
  }

  /** Ids of what is held now. */
  get ids(): readonly string[] {
    return [...this.#held.keys()]
  }

  take(payloads: readonly AssignedPayload[]): void {
    if (payloads.length === 0) return
    for (const { id, data } of payloads) {
      this.#drop(id)
      this.#held.set(id, data)
    }
    const { resolve } = this.#changed
    this.#changed = deferred()
    resolve()
  }

  drop(ids: Iterable<string>): void {
    for (const id of ids) this.#drop(id)
  }

  keepOnly(ids: ReadonlySet<string>): void {
    this.drop(this.ids.filter((id) => !ids.has(id)))
  }

  /**
   * Copies of these by their targets, once all of them are here.
   * @throws {SkeinError} ERR_SKEIN_TASK_REJECTED when the cluster cannot give one, ERR_SKEIN_ABORTED
   */
  async gather(task: string, refs: readonly PayloadRef[], signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>> {
    while (refs.some(({ id }) => !this.#held.has(id))) await abortable(this.#changed.promise, signal, `${this.#kind}s`)
    const found = new Map<string, Uint8Array>()
    for (const { id, target } of refs) {
      const data = this.#held.get(id)
      if (data === undefined) {
        const words = `${this.#kind} ${target} (${id}): the cluster has it no more, or its managers cannot open it`
        throw new SkeinError('ERR_SKEIN_TASK_REJECTED', words, { task })
      }
      found.set(target, Uint8Array.from(data))
    }
    return found
  }

  #drop(id: string): void {
    this.#held.get(id)?.fill(0)
    this.#held.delete(id)
  }
}
