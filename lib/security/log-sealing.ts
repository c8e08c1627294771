import { isSealed, RecordSealer, type RecordSealing } from './record-sealer.js'

/** Commands of the raft log at rest. What was written before commands were sealed opens as it is. */
export class LogSealing {
  readonly #sealer: RecordSealer

  constructor(sealing: RecordSealing) {
    this.#sealer = new RecordSealer('raft log', sealing)
  }

  seal(command: Uint8Array): Uint8Array {
    return this.#sealer.seal(command)
  }

  /** @param index Of its entry. @throws {SkeinError} ERR_SKEIN_CORRUPT */
  open(data: Uint8Array, index: number): Uint8Array {
    return isSealed(data) ? this.#sealer.open(data, `entry ${index} of the raft log`) : data
  }
}
