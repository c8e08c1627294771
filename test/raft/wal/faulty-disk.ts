import { dirname } from 'node:path'
import { below, type Random } from '../../../lib/base/random.js'
import type { WalFile, WalFiles } from '../../../lib/raft/wal/files.js'

const sectorBytes = 512

interface Inode {
  cached: Buffer
  durable: Buffer
}

export type Fault = (operation: Operation) => Error | undefined

export interface Operation {
  readonly verb: 'create' | 'write' | 'truncate' | 'sync' | 'rename' | 'remove' | 'syncDir' | 'makeDir' | 'list' | 'open' | 'read'
  readonly path: string
  readonly count: number
}

/** Operations that change nothing: not counted, so that the counts of those that do stay the same. */
const looks: ReadonlySet<Operation['verb']> = new Set(['makeDir', 'list', 'open', 'read'])

/** A disk with a page cache: what was not synced may or may not survive a power cut, sector by sector, name by name. */
export class FaultyDisk implements WalFiles {
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  /** Name changes that are not durable yet, in order. */
  #pendingNames: { dir: string; apply: (names: Map<string, Inode>) => void }[] = []
  /** Operations that change something, so far. */
  operations = 0
  /** Asked before each operation; an error it returns is thrown instead. */
  fault: Fault = () => undefined
  readonly #hasDurableWrites: boolean

  /** @param o.durableWrites Files have `writeDurably`, which makes durable what it writes and nothing before it. Default: no. */
  constructor(o: { readonly durableWrites?: boolean } = {}) {
    this.#hasDurableWrites = o.durableWrites ?? false
  }

  /** The disk as a reboot finds it. */
  afterPowerCut(random: Random): FaultyDisk {
    const disk = new FaultyDisk({ durableWrites: this.#hasDurableWrites })
    const names = new Map(this.#durableNames)
    const survivors = below(random, this.#pendingNames.length + 1)
    for (const { apply } of this.#pendingNames.slice(0, survivors)) apply(names)
    for (const [path, inode] of names) {
      const bytes = tearSectors(inode, random)
      const fresh = { cached: bytes, durable: Buffer.from(bytes) }
      disk.#names.set(path, fresh)
      disk.#durableNames.set(path, fresh)
    }
    return disk
  }

  /** Everything as it is, as if synced: a process that was killed, not a machine. */
  copy(): FaultyDisk {
    const disk = new FaultyDisk({ durableWrites: this.#hasDurableWrites })
    for (const [path, inode] of this.#names) disk.put(path, inode.cached)
    return disk
  }

  paths(): readonly string[] {
    return [...this.#names.keys()].sort()
  }

  bytes(path: string): Buffer {
    return Buffer.from(this.#find(path).cached)
  }

  put(path: string, bytes: Uint8Array): void {
    const inode = { cached: Buffer.from(bytes), durable: Buffer.from(bytes) }
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
  }

  async makeDir(dir: string): Promise<void> {
    // Directories exist as soon as a file does.
    this.#operate('makeDir', dir)
  }

  async list(dir: string): Promise<readonly string[]> {
    this.#operate('list', dir)
    return [...this.#names.keys()].filter((path) => dirname(path) === dir).map((path) => path.slice(dir.length + 1))
  }

  async create(path: string): Promise<WalFile> {
    this.#operate('create', path)
    const inode = { cached: Buffer.alloc(0), durable: Buffer.alloc(0) }
    this.#changeNames(dirname(path), (names) => names.set(path, inode))
    return this.#handle(path, inode)
  }

  async open(path: string): Promise<WalFile> {
    this.#operate('open', path)
    return this.#handle(path, this.#find(path))
  }

  async rename(from: string, to: string): Promise<void> {
    this.#operate('rename', to)
    const inode = this.#find(from)
    this.#changeNames(dirname(to), (names) => {
      names.delete(from)
      names.set(to, inode)
    })
  }

  async remove(path: string): Promise<void> {
    this.#operate('remove', path)
    this.#find(path)
    this.#changeNames(dirname(path), (names) => names.delete(path))
  }

  async syncDir(dir: string): Promise<void> {
    this.#operate('syncDir', dir)
    for (const change of this.#pendingNames) if (change.dir === dir) change.apply(this.#durableNames)
    this.#pendingNames = this.#pendingNames.filter((change) => change.dir !== dir)
  }

  #changeNames(dir: string, apply: (names: Map<string, Inode>) => void): void {
    apply(this.#names)
    this.#pendingNames.push({ dir, apply })
  }

  #handle(path: string, inode: Inode): WalFile {
    const writeDurably = async (bytes: Uint8Array, position: number): Promise<void> => {
      this.#operate('write', path)
      inode.cached = written(inode.cached, bytes, position)
      this.#operate('sync', path)
      inode.durable = written(inode.durable, bytes, position)
    }
    return {
      write: async (bytes, position) => {
        this.#operate('write', path)
        inode.cached = written(inode.cached, bytes, position)
      },
      ...(this.#hasDurableWrites && { writeDurably }),
      read: async (position, sizeBytes) => {
        this.#operate('read', path)
        return Buffer.from(inode.cached.subarray(position, position + sizeBytes))
      },
      size: async () => inode.cached.length,
      truncate: async (sizeBytes) => {
        this.#operate('truncate', path)
        const cut = Buffer.alloc(sizeBytes)
        inode.cached.copy(cut)
        inode.cached = cut
      },
      sync: async () => {
        this.#operate('sync', path)
        inode.durable = Buffer.from(inode.cached)
      },
      close: async () => {},
    }
  }

  #operate(verb: Operation['verb'], path: string): void {
    const error = this.fault({ verb, path, count: this.operations })
    if (error !== undefined) throw error
    if (!looks.has(verb)) this.operations++
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    return inode
  }
}

/** Lets `count` more operations happen and none after. */
export function cutPowerAfter(disk: FaultyDisk, count: number): void {
  const last = disk.operations + count
  disk.fault = (operation) => (operation.count < last ? undefined : new Error('power cut'))
}

function written(before: Buffer, bytes: Uint8Array, position: number): Buffer {
  const after = Buffer.alloc(Math.max(before.length, position + bytes.length))
  before.copy(after)
  after.set(bytes, position)
  return after
}

function tearSectors({ cached, durable }: Inode, random: Random): Buffer {
  const sizeBytes = random() < 0.5 ? cached.length : durable.length
  const bytes = Buffer.alloc(sizeBytes)
  durable.copy(bytes)
  for (let at = 0; at < sizeBytes; at += sectorBytes) {
    if (random() < 0.5) cached.copy(bytes, at, at, Math.min(at + sectorBytes, sizeBytes))
  }
  return bytes
}

/** Errors as node:fs throws them. */
export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall })
}
