import { type FileHandle, open, rm } from 'node:fs/promises'

/** One piece of a log: bytes are appended at its end and read from any offset; whole records only. */
export interface LogSegment {
  /** Bytes that were handed in, written or not. */
  readonly sizeBytes: number
  /** Resolves when the bytes can be read; undefined when they already can. */
  append(record: Uint8Array): Promise<void> | undefined
  /** Some whole records from `offset`; empty at the end. Undefined: the segment is gone. */
  read(offset: number): Promise<Uint8Array | undefined> | Uint8Array | undefined
  /** No more is appended. */
  seal(): Promise<void>
  remove(): Promise<void>
}

const firstCapacityBytes = 1024
/** Above the longest record, so that a piece always holds at least one. */
const pieceBytes = 256 * 1024
const newline = 0x0a

/** In memory: one buffer that doubles as it fills. */
export class MemorySegment implements LogSegment {
  #bytes: Uint8Array = new Uint8Array(firstCapacityBytes)
  #size = 0

  get sizeBytes(): number {
    return this.#size
  }

  append(record: Uint8Array): undefined {
    const size = this.#size + record.length
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, this.#size))
      this.#bytes = grown
    }
    this.#bytes.set(record, this.#size)
    this.#size = size
    return undefined
  }

  read(offset: number): Uint8Array {
    return this.#bytes.subarray(offset, this.#size)
  }

  async seal(): Promise<void> {}

  async remove(): Promise<void> {
    this.#bytes = new Uint8Array(0)
    this.#size = 0
  }
}

/** A file; opened with its first record, written in order. */
export class FileSegment implements LogSegment {
  readonly #file: string
  #handle: Promise<FileHandle> | undefined
  #writes: Promise<void> = Promise.resolve()
  #size = 0
  #written = 0

  constructor(file: string) {
    this.#file = file
  }

  get sizeBytes(): number {
    return this.#size
  }

  append(record: Uint8Array): Promise<void> {
    this.#size += record.length
    const write = this.#writes.then(() => this.#write(record))
    // One lost record (a full disk) must not lose the ones after it; its caller hears of it.
    this.#writes = write.catch(() => {})
    return write
  }

  async read(offset: number): Promise<Uint8Array | undefined> {
    const length = Math.min(this.#written - offset, pieceBytes)
    if (length <= 0) return new Uint8Array(0)
    let handle: FileHandle
    try {
      handle = await open(this.#file, 'r')
    } catch {
      return undefined // rotated away, or removed with its task
    }
    try {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(length), 0, length, offset)
      return buffer.subarray(0, buffer.subarray(0, bytesRead).lastIndexOf(newline) + 1)
    } finally {
      await handle.close()
    }
  }

  async seal(): Promise<void> {
    await this.#writes
    const handle = this.#handle
    this.#handle = undefined
    await (await handle)?.close()
  }

  /** All of the record or none: after a refused write the next one starts at the same place. */
  async #write(record: Uint8Array): Promise<void> {
    try {
      const file = await this.#open()
      let done = 0
      while (done < record.length) {
        const { bytesWritten } = await file.write(record, done, record.length - done, this.#written + done)
        done += bytesWritten
      }
      this.#written += record.length
    } catch (error) {
      this.#size -= record.length
      throw error
    }
  }

  /** One that could not be opened is tried again with the next record. */
  #open(): Promise<FileHandle> {
    this.#handle ??= open(this.#file, 'w').catch((error: unknown) => {
      this.#handle = undefined
      throw error
    })
    return this.#handle
  }

  async remove(): Promise<void> {
    await this.seal()
    await rm(this.#file, { force: true })
  }
}
