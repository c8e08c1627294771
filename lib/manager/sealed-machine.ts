/**
 * The seal between raft and the store: raft keeps, copies and sends only what is sealed, the store sees only what is open. What was
 * written before commands and snapshots were sealed opens as it is: neither begins with the byte that tells a sealed one.
 */
import type { EntryPosition, StateMachine } from '../raft/runner/index.js'
import { isSealed, type LogSealing, type RecordSealer } from '../security/index.js'

/** A state machine for raft, of one that knows of no seal. */
export class SealedMachine implements StateMachine {
  readonly #machine: StateMachine
  readonly #log: LogSealing
  readonly #snapshots: RecordSealer

  constructor(machine: StateMachine, log: LogSealing, snapshots: RecordSealer) {
    this.#machine = machine
    this.#log = log
    this.#snapshots = snapshots
  }

  get appliedIndex(): number {
    return this.#machine.appliedIndex
  }

  /** @throws {SkeinError} ERR_SKEIN_CORRUPT: this peer cannot go on, and the others may */
  apply(data: Uint8Array, at: EntryPosition): unknown {
    return this.#machine.apply(this.#log.open(data, at.index), at)
  }

  applied(index: number): void {
    this.#machine.applied(index)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return sealEach(this.#machine.snapshot(), this.#snapshots) // captured before this returns
  }

  restore(chunks: AsyncIterable<Uint8Array>, at: EntryPosition): Promise<void> {
    return this.#machine.restore(openEach(chunks, this.#snapshots, at.index), at)
  }
}

async function* sealEach(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  sealer: RecordSealer,
): AsyncGenerator<Uint8Array> {
  let number = 0
  for await (const chunk of chunks) yield sealer.seal(chunk, placeOf(number++))
}

/** The first chunk tells of all: where a later one of an open snapshot was cut, any byte may stand. */
async function* openEach(chunks: AsyncIterable<Uint8Array>, sealer: RecordSealer, index: number): AsyncGenerator<Uint8Array> {
  let number = 0
  let areSealed = false
  for await (const chunk of chunks) {
    if (number === 0) areSealed = isSealed(chunk)
    yield areSealed ? sealer.open(chunk, `chunk ${number} of the snapshot at ${index}`, placeOf(number)) : chunk
    number++
  }
}

/** A chunk opens only in its turn. */
function placeOf(number: number): Uint8Array {
  const place = Buffer.alloc(4)
  place.writeUInt32BE(number)
  return place
}
