import { readdirSync, readFileSync } from 'node:fs'

/** A process and when it began, in clock ticks since boot: a reused pid is another process. */
export interface ProcessId {
  readonly pid: number
  readonly startedAt: string
  readonly parent: number
}

/** Reads /proc; on systems without it nothing is seen and the check of left-over processes is vacuous there. */
export function readProcess(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything; the fields after the last ')' are plain.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z') return undefined // ended, only not yet collected by its parent
    return { pid, parent: Number(fields[1]), startedAt: String(fields[19]) }
  } catch {
    return undefined // gone between listing and reading
  }
}

/** The process and everything under it. */
export function descendantsOf(root: number): readonly ProcessId[] {
  const all = allProcesses()
  const found: ProcessId[] = all.filter(({ pid }) => pid === root)
  for (let at = 0; at < found.length; at++) {
    found.push(...all.filter(({ parent }) => parent === found[at]?.pid))
  }
  return found
}

export function isRunning({ pid, startedAt }: ProcessId): boolean {
  return readProcess(pid)?.startedAt === startedAt
}

function allProcesses(): readonly ProcessId[] {
  let names: string[]
  try {
    names = readdirSync('/proc')
  } catch {
    return [] // no /proc on this system
  }
  return names.flatMap((name) => {
    const found = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined
    return found === undefined ? [] : [found]
  })
}
