export const keys = 10_000
export const valueBytes = 256

/** What the loader needs of a cluster under test. Callbacks, so that the loader spends as little as possible per operation. */
export interface Target {
  put(key: string, value: Uint8Array, done: Done): void
  /** A linearizable read. */
  get(key: string, done: Done): void
  close(): void
}

/** `false`: refused, failed, or the connection is gone. */
export type Done = (ok: boolean) => void

/** Collects what one turn of the event loop wants to send, and sends it as one chunk. */
export class Gather {
  readonly #write: (chunk: Buffer) => void
  #parts: Buffer[] = []

  constructor(write: (chunk: Buffer) => void) {
    this.#write = write
  }

  push(part: Buffer): void {
    // After the promises of this turn: whatever they answer shares the chunk.
    if (this.#parts.push(part) === 1) process.nextTick(() => this.#flush())
  }

  #flush(): void {
    const parts = this.#parts
    this.#parts = []
    this.#write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts))
  }
}

/** Cuts a stream of chunks into frames: `sizeOf` tells the whole size of the frame at an offset, or undefined while its head is incomplete. */
export class Cutter {
  readonly #sizeOf: (bytes: Buffer, at: number) => number | undefined
  readonly #frame: (bytes: Buffer, start: number, end: number) => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(
    sizeOf: (bytes: Buffer, at: number) => number | undefined,
    frame: (bytes: Buffer, start: number, end: number) => void,
  ) {
    this.#sizeOf = sizeOf
    this.#frame = frame
  }

  add(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const sizeBytes = this.#sizeOf(bytes, at)
      if (sizeBytes === undefined || at + sizeBytes > bytes.length) break
      this.#frame(bytes, at, at + sizeBytes)
      at += sizeBytes
    }
    this.#rest = bytes.subarray(at)
  }
}
