/** Rows of a manager's tables at rest: sealed, under names that tell nothing of their keys. */
import { createHmac, type KeyObject } from 'node:crypto'
import { deriveKey, RecordSealer, type RecordSealing } from './record-sealer.js'

export class TableSealing {
  readonly #sealer: RecordSealer
  readonly #nameKey: KeyObject

  constructor(sealing: RecordSealing) {
    this.#sealer = new RecordSealer('tables', sealing)
    this.#nameKey = deriveKey(sealing, 'names of rows', new Uint8Array(0))
  }

  /** The same for the same key, always: a row is found and replaced by it. 32 bytes. */
  nameOf(key: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#nameKey).update(key).digest()
  }

  /** @param place The key under which it will lie. */
  seal(plain: Uint8Array, place: Uint8Array): Uint8Array {
    return this.#sealer.seal(plain, place)
  }

  /** @throws {SkeinError} ERR_SKEIN_CORRUPT: damaged, of another row, or sealed with another key */
  open(sealed: Uint8Array, place: Uint8Array): Uint8Array {
    return this.#sealer.open(sealed, 'a row of the tables', place)
  }
}
