import { dirname } from 'node:path'
import type { WalFile, WalFiles } from './files.js'

/** Files that live as long as this object: for a peer that keeps nothing on disk. "Durable" means "until the process ends". */
export class MemoryFiles implements WalFiles {
  readonly #files = new Map<string, MemoryFile>()

  async makeDir(): Promise<void> {
    // Directories exist as soon as a file does.
  }

  async list(dir: string): Promise<readonly string[]> {
    return [...this.#files.keys()].filter((path) => dirname(path) === dir).map((path) => path.slice(dir.length + 1))
  }

  async create(path: string): Promise<WalFile> {
    const file = new MemoryFile()
    this.#files.set(path, file)
    return file
  }

  async open(path: string): Promise<WalFile> {
    return this.#find(path)
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.#find(from)
    this.#files.delete(from)
    this.#files.set(to, file)
  }

  async remove(path: string): Promise<void> {
    this.#find(path)
    this.#files.delete(path)
  }

  async syncDir(): Promise<void> {
    // Nothing is more durable than memory here.
  }

  #find(path: string): MemoryFile {
    const file = this.#files.get(path)
    if (file !== undefined) return file
    throw Object.assign(new Error(`ENOENT: no such file, '${path}'`), { code: 'ENOENT', path })
  }
}

class MemoryFile implements WalFile {
  #bytes = Buffer.alloc(0)
  #sizeBytes = 0

  async write(bytes: Uint8Array, position: number): Promise<void> {
    const end = position + bytes.length
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(end, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, this.#sizeBytes)
      this.#bytes = grown
    }
    this.#bytes.set(bytes, position)
    this.#sizeBytes = Math.max(this.#sizeBytes, end)
  }

  async read(position: number, sizeBytes: number): Promise<Uint8Array> {
    return Buffer.from(this.#bytes.subarray(position, Math.min(position + sizeBytes, this.#sizeBytes)))
  }

  async size(): Promise<number> {
    return this.#sizeBytes
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#bytes.fill(0, sizeBytes)
    this.#sizeBytes = sizeBytes
  }

  async sync(): Promise<void> {
    // See the class.
  }

  async close(): Promise<void> {
    // The contents stay: another `open` finds them.
  }
}
