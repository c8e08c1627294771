/** A task's secrets and configs as files: memory that is no disk where there is such, in a directory nobody else may enter, for as long as it runs. */
import { accessSync, constants, lstatSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Assigned } from '../driver.js'

const sharedMemory = '/dev/shm'
/** `f_type` of Linux's tmpfs (statfs(2)). */
const tmpfsType = 0x01021994
const markForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What is laid out for a task, by target; targets of configs may have folders. */
export type Layout = Pick<Assigned, 'secrets' | 'configs'>

/** The files of one start of a driver, all under one directory, so that one removal is enough. */
export class TaskFiles {
  readonly root: string
  #made = false

  /**
   * @param mark Unique for this start
   * @param dir The driver's own directory, for machines without tmpfs
   * @param memory Where a tmpfs is looked for
   */
  constructor(mark: string, dir: string | undefined, memory = sharedMemory) {
    this.root = isTmpfs(memory) ? inMemory(mark, memory) : onDisk(mark, dir ?? tmpdir())
  }

  /** Where the secrets of a task will be, or its configs. */
  dirOf(task: string, kind: keyof Layout): string {
    return join(this.#dirOf(task), kind)
  }

  /** In one turn: between the last look at whether the task is still wanted and its start nothing may come. @throws what the disk says */
  write(task: string, { secrets, configs }: Layout): void {
    makePrivate(this.root)
    this.#made = true
    rmSync(this.#dirOf(task), { recursive: true, force: true })
    writeEach(this.dirOf(task, 'secrets'), secrets, 0o400)
    writeEach(this.dirOf(task, 'configs'), configs, 0o444)
  }

  /** Best effort: what stays is removed with all the rest when the driver ends. */
  async remove(task: string): Promise<void> {
    if (this.#made) await rm(this.#dirOf(task), { recursive: true, force: true }).catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#made) await rm(this.root, { recursive: true, force: true })
  }

  #dirOf(task: string): string {
    return join(this.root, encodeURIComponent(task).replaceAll('.', '%2E'))
  }
}

function writeEach(dir: string, files: ReadonlyMap<string, Uint8Array>, mode: number): void {
  for (const [name, data] of files) {
    const file = join(dir, name)
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, data, { mode, flag: 'wx' })
  }
}

/** Its name can be seen while it is there, so that somebody else might make it anew when it was removed: then it is not used. */
function makePrivate(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 })
  } catch (error) {
    if (!isOurs(dir))
      throw new Error(`${dir}: no private directory could be made there for secrets and configs`, { cause: error })
  }
}

function isOurs(dir: string): boolean {
  const found = lstatSync(dir, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o077) === 0
}

/** Removes what an earlier start left that could not do so itself, wherever it kept it. */
export async function removeFilesOf(mark: string, dir: string): Promise<void> {
  // The mark was read from a file: it must not lead anywhere else.
  if (!markForm.test(mark)) return
  for (const root of [inMemory(mark), onDisk(mark, dir)]) await rm(root, { recursive: true, force: true })
}

function inMemory(mark: string, memory = sharedMemory): string {
  return join(memory, `skein-${mark}`)
}

function onDisk(mark: string, dir: string): string {
  return join(dir, `secrets-${mark}`)
}

function isTmpfs(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK)
    return statfsSync(dir).type === tmpfsType
  } catch {
    return false // no such directory here, or not for us
  }
}
