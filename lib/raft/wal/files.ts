/**
 * The few file operations the log needs. Three bodies: `nodeFiles` (the real disk), `MemoryFiles` (a peer
 * without a disk), and a faulty one in the tests that loses what was not synced.
 */
import { constants, write } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { lockDir } from './lock.js'

/** One open file. Positions and sizes in bytes. */
export interface WalFile {
  /** Writes all of `bytes`, which may change once it resolved; durable only after `sync`. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Writes all of `bytes` and resolves when they are durable: one call where that is cheaper. Of earlier writes it says nothing. */
  writeDurably?(bytes: Uint8Array, position: number): Promise<void>
  /** Up to `sizeBytes` bytes; fewer only at the end of the file. */
  read(position: number, sizeBytes: number): Promise<Uint8Array>
  /** As `read`, into the caller's bytes; how many there were. For whoever reads much and often: large arrays are work for the collector. */
  readInto?(target: Uint8Array, position: number): Promise<number>
  size(): Promise<number>
  truncate(sizeBytes: number): Promise<void>
  /** Resolves when the contents and the size are on the disk itself (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface WalFiles {
  /** Creates the directory and those above it, durably; nothing happens when it is there. */
  makeDir(dir: string): Promise<void>
  /**
   * Keeps every other process off the directory until the result is called, or this process ends however it ends.
   * @throws {SkeinError} ERR_SKEIN_DIR_IN_USE
   */
  lock?(dir: string): Promise<() => Promise<void>>
  list(dir: string): Promise<readonly string[]>
  /** A new empty file for reading and writing; an old one of that name is emptied. */
  create(path: string): Promise<WalFile>
  /** An existing file, for reading and writing. */
  open(path: string): Promise<WalFile>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Resolves when creations, renames and removals in the directory are on the disk itself. */
  syncDir(dir: string): Promise<void>
}

/** The disk, through node:fs. */
export const nodeFiles: WalFiles = {
  makeDir: (dir) => makeDirs(dir, syncDir),
  lock: lockDir,
  list: (dir) => readdir(dir),
  create: async (path) => new NodeFile(path, await open(path, 'w+', 0o600)),
  open: async (path) => new NodeFile(path, await open(path, 'r+')),
  rename,
  remove: unlink,
  syncDir,
}

async function syncDir(dir: string): Promise<void> {
  if (process.platform === 'win32') return // Windows has no fsync of a directory; NTFS journals its names
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Each new directory is a name in the one above, and durable only when that one is synced. Not node's own recursive
 * mkdir: where the system denies that the path exists (/proc), that one tries again for ever.
 */
export async function makeDirs(dir: string, sync: (dir: string) => Promise<void>): Promise<void> {
  const parent = dirname(dir)
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(dir)).isDirectory()) return
    // A parent that is there, and still no such file: the file system refuses directories.
    if (code !== 'ENOENT' || parent === dir || (await isThere(parent))) throw error
    await makeDirs(parent, sync)
    await mkdir(dir, { mode: 0o700 })
  }
  await sync(parent)
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false, // whoever makes it will hear why it cannot be
  )
}

/**
 * O_DSYNC is a write with its fdatasync behind it (POSIX), and so one turn of libuv's threads and not two. Only where that
 * reaches the disk itself: on macOS it stops at the disk's cache, on Windows node knows no such flag.
 */
const hasDurableWrites = process.platform === 'linux'

class NodeFile implements WalFile {
  /** Where the file is when it is opened; a later rename does not concern the handles. */
  readonly #path: string
  readonly #handle: FileHandle
  /** The same file, of which every write is durable. */
  #durable: FileHandle | undefined

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  }

  async writeDurably(bytes: Uint8Array, position: number): Promise<void> {
    if (!hasDurableWrites) {
      await this.write(bytes, position)
      return this.sync()
    }
    this.#durable ??= await open(this.#path, constants.O_WRONLY | constants.O_DSYNC)
    const { fd } = this.#durable
    for (let done = 0; done < bytes.length; ) done += await writeOnce(fd, bytes, done, position + done)
  }

  async read(position: number, sizeBytes: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(sizeBytes)
    return buffer.subarray(0, await this.readInto(buffer, position))
  }

  async readInto(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.length) {
      const { bytesRead } = await this.#handle.read(target, done, target.length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes)
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  async close(): Promise<void> {
    await this.#durable?.close()
    await this.#handle.close()
  }
}

/** The callback form costs a third of what a FileHandle's write does. */
function writeOnce(fd: number, bytes: Uint8Array, from: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.length - from, position, (error, written) => (error === null ? resolve(written) : reject(error)))
  })
}

/** The whole file at once. */
export async function readWhole(files: WalFiles, path: string): Promise<Uint8Array> {
  const file = await files.open(path)
  try {
    return await file.read(0, await file.size())
  } finally {
    await file.close()
  }
}
