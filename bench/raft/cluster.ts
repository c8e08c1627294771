/** What the benchmark asks of a cluster of three processes, whoever's it is. */
import { readFileSync } from 'node:fs'

export interface ClientAddress {
  readonly host: string
  readonly port: number
}

export interface Member {
  readonly name: string
  readonly pid: number
  readonly address: ClientAddress
}

/** Counters of the leader's log since it started. */
export interface LogCounters {
  readonly fsyncs: number
}

export interface Cluster {
  readonly rival: 'skein' | 'etcd'
  /** Those that run. */
  readonly members: readonly Member[]
  /** Waits for one. */
  leader(): Promise<Member>
  counters(member: Member): Promise<LogCounters>
  kill(member: Member): void
  /** Starts a killed member again from its directory; resolves when it has caught up with the leader. */
  restart(member: Member): Promise<void>
  stop(): Promise<void>
}

/** CPU milliseconds that processes have used; undefined where the system does not tell. */
export function cpuMsOf(pids: readonly number[]): number | undefined {
  try {
    // /proc/PID/stat, behind the name in brackets: fields 14 and 15 are user and system time in ticks of 1/100 s.
    return pids.reduce((sum, pid) => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return sum + (Number(fields[11]) + Number(fields[12])) * 10
    }, 0)
  } catch {
    return undefined // no /proc on this system
  }
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${withinMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
