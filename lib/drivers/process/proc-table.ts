import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'

/**
 * What Linux says of running processes, under /proc. On other systems every answer is "nothing known",
 * and what depends on it is not done (the callers say what that costs).
 */

/** A process that carries our mark in its environment. */
export interface MarkedProcess {
  readonly pid: number
  /** Value of SKEIN_TASK. */
  readonly task: string | undefined
}

interface ProcessStat {
  readonly state: string
  readonly group: number
  /** Clock ticks since boot; with the pid it names a process for ever, for a pid alone is used again. */
  readonly startedAt: string
}

/** When the process started, in the machine's own words; undefined when it does not run. */
export function startTimeOf(pid: number): string | undefined {
  return readStatSync(pid)?.startedAt
}

/** True while the process runs; one that has ended but was not yet reaped does not. Without /proc the difference is not seen. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return !isNoSuchProcess(error)
  }
  if (process.platform !== 'linux') return true
  const stat = readStatSync(pid)
  return stat !== undefined && !isOver(stat)
}

/** True while a process of the group runs; one that has ended but was not yet reaped does not count. */
export async function isGroupAlive(group: number): Promise<boolean> {
  try {
    process.kill(-group, 0)
  } catch (error) {
    return !isNoSuchProcess(error)
  }
  if (process.platform !== 'linux') return true
  for (const pid of await pids()) {
    const stat = await readStat(pid)
    if (stat?.group === group && !isOver(stat)) return true
  }
  return false
}

/** Every process whose environment has `variable` set to `value`. */
export async function findMarked(variable: string, value: string): Promise<MarkedProcess[]> {
  const mark = `\0${variable}=${value}\0`
  const found: MarkedProcess[] = []
  for (const pid of await pids()) {
    const environment = await readEnvironment(pid)
    if (!environment.includes(mark)) continue
    found.push({ pid, task: /\0SKEIN_TASK=([^\0]*)\0/.exec(environment)?.[1] })
  }
  return found
}

async function pids(): Promise<number[]> {
  try {
    return (await readdir('/proc')).map(Number).filter(Number.isInteger)
  } catch {
    return [] // no /proc
  }
}

function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ESRCH'
}

/** Zombie or dead: it holds nothing but its number. */
function isOver(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X'
}

function readStatSync(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined // no such process, or no /proc
  }
}

async function readStat(pid: number): Promise<ProcessStat | undefined> {
  try {
    return parseStat(await readFile(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined // it ended while we looked
  }
}

async function readEnvironment(pid: number): Promise<string> {
  try {
    return `\0${await readFile(`/proc/${pid}/environ`, 'latin1')}\0`
  } catch {
    return '' // it ended while we looked, or belongs to another user
  }
}

/** `pid (name) state parent group …`: the name may hold anything, so read from its last bracket. Field numbers: proc(5). */
function parseStat(text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, , group] = fields
  const startedAt = fields[22 - 3]
  if (state === undefined || group === undefined || startedAt === undefined) return undefined
  return { state, group: Number(group), startedAt }
}
