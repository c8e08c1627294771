/** Who was in, on disk for the next start. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { type MemberSnapshot, readSnapshot, type SwimEvent } from '../overlay/swim/index.js'
import { decode, encode } from '../wire/index.js'

export interface MemberFileWorld {
  readonly clock: Clock
  readonly logger: Logger
  /** Everybody as of now. */
  snapshot(): MemberSnapshot
  /** Default: whole or not at all, readable by this user alone. */
  readonly write?: (file: string, bytes: Uint8Array) => Promise<void>
}

/** What is new is on disk after this, or after the pause since the last write; a crash before forgets it, and the managers tell it again. */
const keepAfterMs = 1_000
/** Between two writes, and so much longer for each member: a table of ten thousand takes some megabytes. */
const pauseMs = 5_000
const pausePerMemberMs = 1
/** A member costs some hundred bytes. */
const snapshotBytesMax = 64 * 1024 * 1024

/** News that change nothing of what is kept. */
const passing: ReadonlySet<SwimEvent['type']> = new Set(['suspect', 'degraded'])

/** One write at a time, and in nobody's way: however long the disk takes, nothing waits behind it. */
export class MemberFile {
  readonly #file: string
  readonly #world: MemberFileWorld
  #isNew = false
  #hasFailed = false
  #isStopped = false
  #nextAtMs = 0
  #cancel: (() => void) | undefined
  #writing: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(file: string, world: MemberFileWorld) {
    this.#file = file
    this.#world = world
  }

  /** Something is not any more as it was kept, unless this is news of the moment. */
  heard(type: SwimEvent['type']): void {
    if (!passing.has(type)) this.changed()
  }

  changed(): void {
    this.#isNew = true
    this.#plan()
  }

  /** Writes how things stand now. Any number of times. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end(this.#world.snapshot())
    return this.#stopped
  }

  async #end(last: MemberSnapshot): Promise<void> {
    this.#isStopped = true
    this.#cancel?.()
    await this.#writing
    await this.#write(last)
  }

  #plan(): void {
    if (!this.#isNew || this.#isStopped || this.#cancel !== undefined || this.#writing !== undefined) return
    const { clock } = this.#world
    this.#cancel = clock.after(Math.max(keepAfterMs, this.#nextAtMs - clock.now()), () => {
      this.#cancel = undefined
      this.#isNew = false
      this.#writing = this.#write(this.#world.snapshot()).finally(() => {
        this.#writing = undefined
        this.#plan()
      })
    })
  }

  /** Never rejects: what could not be written is tried again after the pause, and said once. */
  async #write(snapshot: MemberSnapshot): Promise<void> {
    const { clock, logger, write = writeWhole } = this.#world
    try {
      await write(this.#file, encode(snapshot))
      this.#hasFailed = false
    } catch (error) {
      this.#isNew = true
      if (!this.#hasFailed) logger.warn({ file: this.#file, error: messageOf(error) }, 'the members could not be kept')
      this.#hasFailed = true
    }
    this.#nextAtMs = clock.now() + pauseMs + pausePerMemberMs * snapshot.members.length
  }
}

/** Who was kept, unless the file is missing or unreadable: then the managers say who is in. */
export async function keptMembers(file: string, logger: Logger): Promise<MemberSnapshot | undefined> {
  try {
    return readSnapshot(decode(await readFile(file), snapshotBytesMax))
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing) logger.warn({ file, error: messageOf(error) }, 'the kept members are unreadable; the managers will tell')
    return undefined
  }
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await writeFile(`${file}.tmp`, bytes, { mode: 0o600 })
  await rename(`${file}.tmp`, file)
}
