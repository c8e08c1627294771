import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { messageOf, SkeinError } from '../../base/errors.js'
import type { Assigned, DriverDescription, RuntimeDriver, Unit } from '../driver.js'
import { lineBytesMax } from '../line-splitter.js'
import { LogBook } from '../log-book.js'
import { readyCommand } from './command.js'
import { Guardian, markVariable } from './guardian.js'
import { findMarked, startTimeOf } from './proc-table.js'
import { ProcessUnit } from './process-unit.js'
import { type Layout, removeFilesOf, TaskFiles } from './task-files.js'

export interface ProcessDriverOptions {
  /** Where logs and the records of running processes live; used by one peer at a time. Leave out: logs in memory, no records. */
  readonly dir?: string
  /** Bytes of one log file of a task, from 32 KiB. Default 1 MiB. */
  readonly logBytesMax?: number
  /** Log files kept per task: at most logBytesMax × logFilesMax bytes. Default 2. */
  readonly logFilesMax?: number
}

/**
 * Runs each task as a child process in a process group of its own.
 *
 * - Environment: PATH, HOME, LANG and TMPDIR of the peer, then the task's own, then SKEIN_TASK, SKEIN_SERVICE, SKEIN_SLOT
 *   (and SKEIN_GUARD, by which leftovers are found). The working directory is the task's, else the peer's.
 * - Secrets are files of mode 0400 in the directory that SKEIN_SECRETS names, on tmpfs where /dev/shm is one. They are there from the
 *   start of the process until its whole group has ended, and end with the peer, however it ends.
 * - Configs are files of mode 0444 in the directory that SKEIN_CONFIGS names, which stands for the root of their targets: that of
 *   /etc/app.conf is $SKEIN_CONFIGS/etc/app.conf. They come and go with the secrets.
 * - The stop signal goes to the whole group; past the grace SIGKILL does. When the first process ends, the rest of its group is killed.
 * - Output is kept in bounded, rotating files; a task that floods waits on its pipe.
 * - No task outlives its peer, however that dies: see `Guardian`. Should the guardian be killed with it, the next start on the
 *   same `dir` kills what is left. Finding processes that left their group needs Linux (/proc).
 * - `resources.limit` is NOT enforced: a plain process has no such fence. `resources.reserve` counts for placement only.
 *
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION
 */
export function processDriver(options: ProcessDriverOptions = {}): RuntimeDriver {
  const { dir, logBytesMax = 1024 * 1024, logFilesMax = 2 } = options
  requireWhole('logBytesMax', logBytesMax, 2 * lineBytesMax)
  requireWhole('logFilesMax', logFilesMax, 1)
  return new ProcessDriver({ dir, logBytesMax, logFilesMax })
}

interface Resolved {
  readonly dir: string | undefined
  readonly logBytesMax: number
  readonly logFilesMax: number
}

/** What a unit leaves on disk while it runs; with the start time the pid cannot be taken for another process's. */
interface ProcessRecord {
  readonly pid: number
  readonly startedAt: string | undefined
}

/** Tell a task where its secrets and configs are. */
const dirVariables = { secrets: 'SKEIN_SECRETS', configs: 'SKEIN_CONFIGS' } as const satisfies Record<keyof Layout, string>
const markFile = 'guard'
const recordFile = 'process.json'
const unitPrefix = 'task-'
/** A process may fork while it is being looked for: look again, this often. */
const sweepRoundsMax = 8

class ProcessDriver implements RuntimeDriver {
  readonly name = 'process'
  readonly #options: Resolved
  readonly #mark = randomUUID()
  readonly #files: TaskFiles
  readonly #guardian: Guardian
  /** Ids of tasks whose processes run now. */
  readonly #running = new Set<string>()
  #opened: Promise<void> | undefined
  #sweepUnderWay: Promise<void> | undefined
  #sweepNext: Promise<void> | undefined

  constructor(options: Resolved) {
    this.#options = options
    this.#files = new TaskFiles(this.#mark, options.dir)
    this.#guardian = new Guardian(this.#mark, this.#files.root)
  }

  async describe(): Promise<DriverDescription> {
    return {
      cpus: availableParallelism(),
      memoryBytes: totalmem(),
      platform: `${process.platform}/${process.arch}`,
      limits: 'ignored',
    }
  }

  async prepare(task: Assigned, signal: AbortSignal): Promise<Unit> {
    if (process.platform === 'win32') {
      throw new SkeinError('ERR_SKEIN_TASK_REJECTED', 'the process driver needs a POSIX system', { task: task.id })
    }
    const command = await readyCommand(task, process.env)
    await this.#open()
    const dir = await this.#makeUnitDir(task.id)
    if (signal.aborted) throw new SkeinError('ERR_SKEIN_ABORTED', 'stopped while it was prepared', { what: 'prepare' })
    const { logBytesMax, logFilesMax } = this.#options
    const log = new LogBook({ dir, bytesMax: logBytesMax, filesMax: logFilesMax })
    const { id, secrets, configs } = task
    return new ProcessUnit(command, { ...command.env, ...this.#dirsOf(task), [markVariable]: this.#mark }, log, {
      beforeSpawn: () => {
        this.#guardian.ensure()
        if (secrets.size === 0 && configs.size === 0) return
        this.#files.write(id, task)
        for (const data of secrets.values()) data.fill(0)
      },
      notSpawned: () => this.#files.remove(id),
      spawned: (group) => {
        this.#guardian.watch(group)
        this.#running.add(task.id)
        if (dir !== undefined) recordProcess(dir, group)
      },
      ended: async (group) => {
        this.#running.delete(task.id)
        await this.#files.remove(id)
        if (dir !== undefined) await rm(join(dir, recordFile), { force: true })
        await this.#sweep()
        this.#guardian.forget(group)
      },
      removed: async () => {
        for (const data of secrets.values()) data.fill(0)
        if (dir !== undefined) await rm(dir, { recursive: true, force: true })
      },
    })
  }

  /** Nothing can be taken over: a process whose pipes are gone is no longer ours. So what is left of before is killed, then replaced. */
  async recover(): Promise<ReadonlyMap<string, Unit>> {
    await this.#open()
    return new Map()
  }

  async close(): Promise<void> {
    await this.#opened
    await this.#guardian.close()
    await this.#files.close()
  }

  /** Only of what there is. */
  #dirsOf(task: Assigned): Readonly<Record<string, string>> {
    const kinds = (['secrets', 'configs'] as const).filter((kind) => task[kind].size > 0)
    return Object.fromEntries(kinds.map((kind) => [dirVariables[kind], this.#files.dirOf(task.id, kind)]))
  }

  #open(): Promise<void> {
    this.#opened ??= this.#takeOver().catch((error: unknown) => {
      this.#opened = undefined
      throw error
    })
    return this.#opened
  }

  /** Makes the directory ours: kills what an earlier start left, forgets its files, leaves our mark. */
  async #takeOver(): Promise<void> {
    const { dir } = this.#options
    if (dir === undefined) return
    try {
      await mkdir(dir, { recursive: true })
      const units = (await readdir(dir)).filter((name) => name.startsWith(unitPrefix))
      for (const unit of units) await killRecorded(join(dir, unit))
      const mark = await readText(join(dir, markFile))
      if (mark !== undefined && mark !== '') {
        await killMarked(mark, () => true)
        await removeFilesOf(mark, dir)
      }
      for (const unit of units) await rm(join(dir, unit), { recursive: true, force: true })
      await writeFile(join(dir, markFile), this.#mark)
    } catch (error) {
      throw new SkeinError(
        'ERR_SKEIN_DIR_UNUSABLE',
        `process driver: cannot use ${dir}: ${messageOf(error)}`,
        { dir },
        { cause: error },
      )
    }
  }

  async #makeUnitDir(task: string): Promise<string | undefined> {
    if (this.#options.dir === undefined) return undefined
    // The prefix and the encoding keep any id, also `..`, inside our directory.
    const dir = join(this.#options.dir, `${unitPrefix}${encodeURIComponent(task)}`)
    await mkdir(dir, { recursive: true })
    return dir
  }

  /** Kills what left the group of a task that is over. One look serves all who asked before it began. */
  #sweep(): Promise<void> {
    this.#sweepNext ??= (this.#sweepUnderWay ?? Promise.resolve()).then(() => {
      this.#sweepUnderWay = this.#sweepNext
      this.#sweepNext = undefined
      return killMarked(this.#mark, (task) => task === undefined || !this.#running.has(task))
    })
    return this.#sweepNext
  }
}

/** Best effort: without the record, the mark in the environment still finds the process. */
function recordProcess(dir: string, pid: number): void {
  const record: ProcessRecord = { pid, startedAt: startTimeOf(pid) }
  try {
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, recordFile), JSON.stringify(record))
  } catch {
    // A full disk must not keep a task from running.
  }
}

async function killRecorded(unitDir: string): Promise<void> {
  const record = parseRecord(await readText(join(unitDir, recordFile)))
  if (record?.startedAt === undefined || startTimeOf(record.pid) !== record.startedAt) return
  kill(-record.pid)
}

async function killMarked(mark: string, isLeftover: (task: string | undefined) => boolean): Promise<void> {
  for (let round = 0; round < sweepRoundsMax; round++) {
    const left = (await findMarked(markVariable, mark)).filter(({ task }) => isLeftover(task))
    if (left.length === 0) return
    for (const { pid } of left) kill(pid)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile, or became another user's.
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined // not there: nothing was left behind
  }
}

/** A torn or foreign file is no record. */
function parseRecord(text: string | undefined): ProcessRecord | undefined {
  try {
    const value: unknown = JSON.parse(text ?? 'null')
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startedAt' in value)) return undefined
    const { pid, startedAt } = value
    if (!Number.isSafeInteger(pid) || (pid as number) <= 1 || typeof startedAt !== 'string') return undefined
    return { pid: pid as number, startedAt }
  } catch {
    return undefined
  }
}

function requireWhole(option: string, got: number, least: number): void {
  if (Number.isSafeInteger(got) && got >= least) return
  throw new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `processDriver: ${option}: expected a whole number from ${least}, got ${got}`,
    {
      option,
      got,
    },
  )
}
