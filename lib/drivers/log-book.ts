import { join } from 'node:path'
import { abortable } from '../base/abort.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import type { LogOptions, UnitLogLine } from './driver.js'
import { FileSegment, type LogSegment, MemorySegment } from './log-segment.js'

export interface LogBookOptions {
  /** Directory of the files `1.log`, `2.log`, …; it must exist. Leave out: in memory. */
  readonly dir?: string | undefined
  /** Bytes per file, at least 2 × lineBytesMax. When the newest is full the oldest is dropped. */
  readonly bytesMax: number
  /** Files kept; a log never takes more than about bytesMax × filesMax. */
  readonly filesMax: number
}

const newline = 0x0a

/** What a task wrote: bounded, oldest dropped first, read while it grows. Each line is stored as `<ISO time> <stream> <bytes>`. */
export class LogBook {
  readonly #options: LogBookOptions
  /** Oldest first; the segment at place i has number `#first + i`. */
  #segments: LogSegment[] = []
  #first = 1
  #closed = false
  #changed: Deferred<void> = deferred()
  /** Lines that could not be written, because the disk refused them. */
  linesLost = 0
  /** Why, the last time. */
  lossReason: string | undefined

  constructor(options: LogBookOptions) {
    this.#options = options
  }

  /** Adds lines; await what it returns before reading more from the task, so that memory stays bounded. Never rejects. */
  append(stream: UnitLogLine['stream'], lines: readonly Uint8Array[], at: Date = new Date()): Promise<void> | undefined {
    if (lines.length === 0 || this.#closed) return undefined
    const head = Buffer.from(`${at.toISOString()} ${stream} `)
    const writes: Promise<void>[] = []
    for (const group of groupsOf(lines, head.length + 1, this.#options.bytesMax)) {
      const record = recordOf(head, group)
      const written = this.#segmentFor(record.length).append(record)
      if (written !== undefined) writes.push(written.catch((error: unknown) => this.#lost(group.length, error)))
    }
    if (writes.length > 0) return Promise.all(writes).then(() => this.#wake())
    this.#wake()
    return undefined
  }

  /** Nothing more will come: followers end. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#segments.at(-1)?.seal()
    this.#wake()
  }

  async remove(): Promise<void> {
    await this.close()
    await Promise.all(this.#segments.map((segment) => segment.remove()))
    this.#first += this.#segments.length
    this.#segments = []
  }

  /** Lines, oldest first. Ends when the log does (`follow`) or at its present end; an aborted signal ends it quietly. */
  async *read(options: LogOptions = {}): AsyncGenerator<UnitLogLine, void, undefined> {
    const { follow = false, tail, signal } = options
    const isAborted = (): boolean => signal?.aborted === true
    const wanted = (line: UnitLogLine): boolean =>
      (options.streams?.includes(line.stream) ?? true) && (options.since === undefined || line.at >= options.since)
    const reader = new Reader(
      () => this.#segments,
      () => this.#first,
    )
    if (tail !== undefined) {
      const kept: UnitLogLine[] = []
      for (let lines = await reader.next(); lines.length > 0; lines = await reader.next()) {
        kept.push(...lines.filter(wanted))
        kept.splice(0, Math.max(0, kept.length - tail))
      }
      yield* kept
    }
    for (;;) {
      if (isAborted()) return
      // Taken before reading: what is appended meanwhile wakes us.
      const changed = this.#changed.promise
      const wasClosed = this.#closed
      const lines = await reader.next()
      for (const line of lines) {
        if (isAborted()) return
        if (wanted(line)) yield line
      }
      if (lines.length > 0) continue
      if (!follow || wasClosed) return
      // An abort is seen at the top of the loop.
      await (signal === undefined ? changed : abortable(changed, signal, 'log').catch(() => {}))
    }
  }

  #segmentFor(recordBytes: number): LogSegment {
    const last = this.#segments.at(-1)
    if (last !== undefined && (last.sizeBytes === 0 || last.sizeBytes + recordBytes <= this.#options.bytesMax)) return last
    // Sealing and removing go on by themselves: they touch files nobody appends to any more.
    if (last !== undefined) void last.seal().catch(() => {})
    const { dir } = this.#options
    const number = this.#first + this.#segments.length
    const segment = dir === undefined ? new MemorySegment() : new FileSegment(join(dir, `${number}.log`))
    this.#segments.push(segment)
    while (this.#segments.length > this.#options.filesMax) {
      const oldest = this.#segments.shift()
      this.#first++
      // A file that cannot be removed now goes with its task's directory.
      void oldest?.remove().catch(() => {})
    }
    return segment
  }

  /** A full disk costs lines, never the task. */
  #lost(lines: number, error: unknown): void {
    this.linesLost += lines
    this.lossReason = messageOf(error)
  }

  #wake(): void {
    const { resolve } = this.#changed
    this.#changed = deferred()
    resolve()
  }
}

/** One allocation for all lines: a flood arrives here as ten thousand short ones at a time. */
function recordOf(head: Uint8Array, lines: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0
  for (const line of lines) sizeBytes += head.length + line.length + 1
  const record = Buffer.allocUnsafe(sizeBytes)
  let at = 0
  for (const line of lines) {
    record.set(head, at)
    record.set(line, at + head.length)
    at += head.length + line.length
    record[at++] = newline
  }
  return record
}

/** Cuts the lines into runs that each fit into one file. */
function* groupsOf(lines: readonly Uint8Array[], extraBytes: number, bytesMax: number): Generator<readonly Uint8Array[]> {
  let from = 0
  let sizeBytes = 0
  for (let index = 0; index < lines.length; index++) {
    const lineBytes = (lines[index]?.length ?? 0) + extraBytes
    if (index > from && sizeBytes + lineBytes > bytesMax) {
      yield lines.slice(from, index)
      from = index
      sizeBytes = 0
    }
    sizeBytes += lineBytes
  }
  yield lines.slice(from)
}

/** One reader's place in a log that grows at one end and is dropped at the other. */
class Reader {
  readonly #segments: () => readonly LogSegment[]
  readonly #first: () => number
  #number = 1
  #offset = 0

  constructor(segments: () => readonly LogSegment[], first: () => number) {
    this.#segments = segments
    this.#first = first
    this.#number = first()
  }

  /** The next lines; none at the present end. A reader that was overtaken by rotation is told so by a line in its place. */
  async next(): Promise<UnitLogLine[]> {
    for (;;) {
      if (this.#number < this.#first()) {
        this.#number = this.#first()
        this.#offset = 0
        return [
          { stream: 'stderr', at: new Date(), text: '[skein: lines are missing here: they were dropped before they were read]' },
        ]
      }
      const segments = this.#segments()
      const segment = segments[this.#number - this.#first()]
      if (segment === undefined) return []
      const bytes = await segment.read(this.#offset)
      if (bytes === undefined) {
        if (this.#number < this.#first()) continue
        return []
      }
      if (bytes.length > 0) {
        this.#offset += bytes.length
        return decodeLines(bytes)
      }
      const isLast = this.#number === this.#first() + this.#segments().length - 1
      if (isLast || this.#offset < segment.sizeBytes) return []
      this.#number++
      this.#offset = 0
    }
  }
}

function decodeLines(bytes: Uint8Array): UnitLogLine[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  return text.slice(0, -1).split('\n').map(decodeLine)
}

/** `2030-01-31T12:00:00.000Z stdout words`: 24 + 1 + 6 + 1 characters, then the words. */
function decodeLine(record: string): UnitLogLine {
  const stream = record.slice(25, 31) === 'stderr' ? 'stderr' : 'stdout'
  return { stream, at: new Date(record.slice(0, 24)), text: record.slice(32) }
}
