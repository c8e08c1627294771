import { constants } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { messageOf, SkeinError } from '../base/errors.js'
import type { BatchOptions, Entry, Range, Storage, Write } from './storage.js'

type Bytes = ClassicLevel<Uint8Array, Uint8Array>

/** A Storage on LevelDB. Its lock on the directory is what keeps two processes apart. */
export class LevelStorage implements Storage {
  readonly #dir: string
  readonly #level: Bytes
  /** Settles when every batch called so far has taken effect. */
  #written: Promise<void> = Promise.resolve()
  #closing = false

  private constructor(dir: string, level: Bytes) {
    this.#dir = dir
    this.#level = level
  }

  /**
   * Opens the directory, making it and its parents when they are missing.
   * @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_DIR_IN_USE (another process, or another storage of this one,
   * holds it), ERR_SKEIN_CORRUPT
   */
  static async open(dir: string): Promise<LevelStorage> {
    await makeUsable(dir)
    // Not before it is needed: peers and clients that keep nothing on disk start without it and its native part.
    const { ClassicLevel } = await import('classic-level')
    const level: Bytes = new ClassicLevel(dir, { keyEncoding: 'view', valueEncoding: 'view' })
    try {
      await level.open()
    } catch (error) {
      throw openError(dir, error)
    }
    return new LevelStorage(dir, level)
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen()
    try {
      const value = await this.#level.get(key)
      return value === undefined ? undefined : plain(value)
    } catch (error) {
      throw this.#failure('read', error)
    }
  }

  async *range({ gte, lt, limit }: Range): AsyncGenerator<Entry, void, undefined> {
    this.#checkOpen()
    const iterator = this.#level.iterator({
      ...(gte !== undefined && { gte }),
      ...(lt !== undefined && { lt }),
      ...(limit !== undefined && { limit }),
    })
    try {
      for await (const [key, value] of iterator) yield { key: plain(key), value: plain(value) }
    } catch (error) {
      throw this.#failure('read', error)
    } finally {
      await iterator.close()
    }
  }

  async batch(writes: readonly Write[], { sync }: BatchOptions): Promise<void> {
    this.#checkOpen()
    // Level hands each batch to a thread of its own, and threads overtake each other: one at a time keeps the order of the calls.
    const before = this.#written
    const mine = before.then(() => this.#write(writes, sync))
    this.#written = mine.catch(() => undefined) // whoever called it is told; those behind it are not held up
    await mine
  }

  async #write(writes: readonly Write[], sync: boolean): Promise<void> {
    try {
      await this.#level.batch(
        writes.map((write) =>
          write.type === 'put' ? { type: 'put', key: write.key, value: write.value } : { type: 'del', key: write.key },
        ),
        { sync },
      )
    } catch (error) {
      throw this.#failure('write', error)
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    await this.#written
    await this.#level.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkOpen(): void {
    if (this.#closing || this.#level.status !== 'open') throw this.#stopped()
  }

  #stopped(cause?: unknown): SkeinError {
    return new SkeinError('ERR_SKEIN_STOPPED', `the storage ${this.#dir} is closed`, { what: 'storage' }, { cause })
  }

  #failure(syscall: 'read' | 'write', error: unknown): SkeinError {
    if (this.#level.status !== 'open') return this.#stopped(error)
    if (codeOf(error) === 'LEVEL_CORRUPTION') return corrupt(this.#dir, error)
    return new SkeinError(
      'ERR_SKEIN_STORAGE',
      `${this.#dir}: ${syscall} failed: ${messageOf(error)}`,
      { file: this.#dir, syscall },
      { cause: error },
    )
  }
}

/** Level hands out Buffers; ours are plain arrays, so that equality and JSON look the same for every Storage. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

async function makeUsable(dir: string): Promise<void> {
  try {
    await makeDir(dir)
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw unusable(dir, error)
  }
}

/** `mkdir` with `recursive` never returns for a path under a file system that refuses directories (/proc, Node 20). */
async function makeDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    if (codeOf(error) !== 'ENOENT' || dirname(dir) === dir) throw error
    await makeDir(dirname(dir))
    await mkdir(dir, { mode: 0o700 })
  }
}

function openError(dir: string, error: unknown): SkeinError {
  const cause = error instanceof Error ? error.cause : undefined
  if (codeOf(cause) === 'LEVEL_LOCKED') {
    return new SkeinError(
      'ERR_SKEIN_DIR_IN_USE',
      `${dir} is held by another running process; stop it first, or give this one a directory of its own`,
      { dir },
      { cause },
    )
  }
  return codeOf(cause) === 'LEVEL_CORRUPTION' ? corrupt(dir, cause) : unusable(dir, cause ?? error)
}

function unusable(dir: string, cause: unknown): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_DIR_UNUSABLE',
    `cannot use the directory ${dir}: ${messageOf(cause)}; give one this process may create, read and write`,
    { dir },
    { cause },
  )
}

function corrupt(dir: string, cause: unknown): SkeinError {
  return new SkeinError(
    'ERR_SKEIN_CORRUPT',
    `the database in ${dir} is damaged: ${messageOf(cause)}; move it away and let this node join again`,
    { file: dir },
    { cause },
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
