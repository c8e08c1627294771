import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../lib/base/clock.js'
import { deferred } from '../../../lib/base/deferred.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type ConfState,
  type EntryPosition,
  type RaftEvent,
  type RaftId,
  RaftRunner,
  type RaftRunnerOptions,
  type RaftTransport,
  type StateMachine,
} from '../../../lib/raft/runner/index.js'
import { nodeFiles, type WalFile, type WalFiles } from '../../../lib/raft/wal/index.js'

export const clusterId = 'c1u2s3t4e5r6'

export function voters(...ids: RaftId[]): ConfState {
  return { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
}

/** A list of texts; `apply` answers with the text's place in it. */
export class ListMachine implements StateMachine {
  texts: string[] = []
  appliedIndex = 0
  lastPosition: EntryPosition = { index: 0, term: 0 }
  restores = 0
  readonly #changed: () => void

  constructor(changed: () => void = () => {}) {
    this.#changed = changed
  }

  apply(data: Uint8Array, at: EntryPosition): number {
    if (at.index <= this.lastPosition.index) throw new Error(`entry ${at.index} came after ${this.lastPosition.index}`)
    this.lastPosition = at
    this.texts.push(Buffer.from(data).toString())
    return this.texts.length
  }

  applied(): void {
    this.#changed()
  }

  snapshot(): Iterable<Uint8Array> {
    return this.texts.map((text) => Buffer.from(`${text}\n`))
  }

  async restore(chunks: AsyncIterable<Uint8Array>, at: EntryPosition): Promise<void> {
    let text = ''
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    this.texts = text.split('\n').slice(0, -1)
    this.lastPosition = at
    this.restores++
    this.#changed()
  }
}

/** The disk of a process that can be killed: from then on nothing it asks for happens. */
export class MortalFiles implements WalFiles {
  readonly #disk: WalFiles
  #dead = false
  #underWay = 0
  readonly #settled = deferred()
  readonly #open = new Set<WalFile>()
  /** Awaited before every sync. */
  beforeSync: () => Promise<void> = async () => {}

  constructor(disk: WalFiles) {
    this.#disk = disk
  }

  /** Resolves when nothing of the dead process touches the disk any more. */
  async kill(): Promise<void> {
    this.#dead = true
    if (this.#underWay > 0) await this.#settled.promise
    // The kernel closes what a dead process had open.
    for (const file of this.#open) await file.close()
  }

  makeDir(dir: string): Promise<void> {
    return this.#do(() => this.#disk.makeDir(dir))
  }

  list(dir: string): Promise<readonly string[]> {
    return this.#do(() => this.#disk.list(dir))
  }

  async create(path: string): Promise<WalFile> {
    return this.#mortal(await this.#do(() => this.#disk.create(path)))
  }

  async open(path: string): Promise<WalFile> {
    return this.#mortal(await this.#do(() => this.#disk.open(path)))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do(() => this.#disk.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.#do(() => this.#disk.remove(path))
  }

  syncDir(dir: string): Promise<void> {
    return this.#do(() => this.#disk.syncDir(dir))
  }

  #mortal(file: WalFile): WalFile {
    this.#open.add(file)
    return {
      write: (bytes, position) => this.#do(() => file.write(bytes, position)),
      read: (position, sizeBytes) => this.#do(() => file.read(position, sizeBytes)),
      size: () => this.#do(() => file.size()),
      truncate: (sizeBytes) => this.#do(() => file.truncate(sizeBytes)),
      sync: () => this.#do(() => this.beforeSync().then(() => file.sync())),
      close: () => (this.#open.delete(file) ? file.close() : Promise.resolve()),
    }
  }

  async #do<T>(act: () => Promise<T>): Promise<T> {
    if (this.#dead) return new Promise<T>(() => {})
    this.#underWay++
    try {
      return await act()
    } finally {
      this.#underWay--
      if (this.#dead && this.#underWay === 0) this.#settled.resolve()
    }
  }
}

/** Real time that can be stopped. */
class MortalClock implements Clock {
  readonly #timers = new Set<NodeJS.Timeout>()

  now(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  after(delayMs: number, act: () => void): () => void {
    return this.#keep(setTimeout(act, delayMs))
  }

  every(periodMs: number, act: () => void): () => void {
    return this.#keep(setInterval(act, periodMs))
  }

  kill(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #keep(timer: NodeJS.Timeout): () => void {
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
      clearTimeout(timer)
    }
  }
}

export interface Peer {
  readonly id: RaftId
  readonly runner: RaftRunner
  readonly machine: ListMachine
  readonly files: MortalFiles
  readonly events: RaftEvent[]
}

interface LivePeer extends Peer {
  readonly clock: MortalClock
}

/** Peers in one process with real files, real time and a network of function calls that can be cut. */
export class Cluster {
  readonly #root: string
  readonly #diskOf: (id: RaftId) => WalFiles
  readonly #live = new Map<RaftId, LivePeer>()
  readonly #cut = new Set<RaftId>()
  readonly #waiting = new Set<() => void>()
  #lives = 0
  piecesCarried = 0
  /** Sees every piece of a snapshot on its way, may change it, and loses it by throwing. */
  onPiece: ((piece: Buffer, to: RaftId) => Buffer) | undefined

  private constructor(root: string, diskOf: (id: RaftId) => WalFiles) {
    this.#root = root
    this.#diskOf = diskOf
  }

  static async create(diskOf: (id: RaftId) => WalFiles = () => nodeFiles): Promise<Cluster> {
    return new Cluster(await mkdtemp(join(tmpdir(), 'skein-runner-')), diskOf)
  }

  get peers(): readonly Peer[] {
    return [...this.#live.values()]
  }

  peer(id: RaftId): Peer {
    const peer = this.#live.get(id)
    if (peer === undefined) throw new Error(`peer ${id} is not alive`)
    return peer
  }

  dir(id: RaftId): string {
    return join(this.#root, String(id))
  }

  /** Starts a peer on its directory, also one that lived before. */
  async start(id: RaftId, options: Partial<RaftRunnerOptions> = {}): Promise<Peer> {
    const changed = () => this.#notify()
    const machine = new ListMachine(changed)
    const clock = new MortalClock()
    const files = new MortalFiles(this.#diskOf(id))
    const runner = await RaftRunner.open({
      id,
      clusterId,
      dir: this.dir(id),
      stateMachine: machine,
      transport: this.#transport(id),
      clock,
      random: seededRandom(id * 1000 + this.#lives++),
      tickMs: 20,
      files,
      ...options,
    })
    const events: RaftEvent[] = []
    runner.observe((event) => {
      events.push(event)
      changed()
    })
    const peer = { id, runner, machine, clock, files, events }
    this.#live.set(id, peer)
    runner.start()
    return peer
  }

  /** Starts voters that found the cluster together. */
  async found(ids: readonly RaftId[], options: Partial<RaftRunnerOptions> = {}): Promise<Peer> {
    for (const id of ids) await this.start(id, { bootstrap: voters(...ids), ...options })
    return this.leader()
  }

  /** As kill -9: no goodbye, and what was not written never will be. */
  async kill(id: RaftId): Promise<void> {
    const peer = this.#live.get(id)
    if (peer === undefined) return
    this.#live.delete(id)
    peer.clock.kill()
    await peer.files.kill()
  }

  isolate(id: RaftId): void {
    this.#cut.add(id)
  }

  heal(): void {
    this.#cut.clear()
  }

  /** Resolves with whoever leads, has told so, and is believed by a majority of those alive. */
  async leader(among: readonly Peer[] = this.peers): Promise<Peer> {
    let found: Peer | undefined
    await this.until(() => {
      found = among.find(({ events, runner }) => {
        const last = events.findLast((event) => event.type === 'role')
        return last?.role === 'leader' && runner.status().role === 'leader'
      })
      return found !== undefined
    })
    return found as Peer
  }

  /** Resolves when the claim holds; it is looked at whenever a peer applies something or tells news. */
  until(claim: () => boolean): Promise<void> {
    const { promise, resolve } = deferred()
    const check = () => {
      if (!claim()) return
      this.#waiting.delete(check)
      resolve()
    }
    this.#waiting.add(check)
    check()
    return promise
  }

  async end(): Promise<void> {
    for (const { runner } of this.peers) await runner.stop()
    for (const id of [...this.#live.keys()]) await this.kill(id)
    await rm(this.#root, { recursive: true, force: true })
  }

  #notify(): void {
    for (const check of [...this.#waiting]) check()
  }

  #transport(from: RaftId): RaftTransport {
    const reach = (to: RaftId) => (this.#cut.has(from) || this.#cut.has(to) ? undefined : this.#live.get(to))
    return {
      send: (to, frame) => {
        const bytes = Buffer.from(frame)
        setImmediate(() => {
          if (this.#live.has(from)) reach(to)?.runner.receive(from, bytes)
        })
        return true
      },
      sendSnapshotPiece: async (to, piece) => {
        const carry = this.onPiece ?? ((bytes) => bytes)
        // A task of its own: a network takes time.
        await new Promise(setImmediate)
        const peer = reach(to)
        if (peer === undefined || !this.#live.has(from)) throw new Error(`no link from ${from} to ${to}`)
        const answer = await peer.runner.receiveSnapshotPiece(from, carry(Buffer.from(piece), to))
        this.piecesCarried++
        return answer
      },
    }
  }
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}
