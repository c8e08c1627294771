/** The world as a peer meets it: the real clock and chance, and this machine. */
import { lookup } from 'node:dns/promises'
import { availableParallelism, cpus, freemem, hostname, networkInterfaces, totalmem } from 'node:os'
import type { InterfaceAddress } from '../overlay/transport/index.js'

/** The same clock and chance that `skein/raft` uses alone; ids and secrets are made from it, so it must not be guessable. */
export { processClock as systemClock, processRandom as systemRandom } from '../raft/system.js'

export interface Machine {
  readonly hostname: string
  readonly os: string
  readonly arch: string
  readonly pid: number
  readonly cpus: number
  readonly memoryBytes: number
}

export function thisMachine(): Machine {
  return {
    hostname: hostname(),
    os: process.platform,
    arch: process.arch,
    pid: process.pid,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
  }
}

/** Addresses this machine has now. */
export function thisMachinesAddresses(): readonly InterfaceAddress[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
}

/** Milliseconds of all CPUs since the machine started. */
export function thisMachinesCpuTimes(): { readonly busy: number; readonly total: number } {
  let busy = 0
  let total = 0
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.irq + times.idle
    total += all
    busy += all - times.idle
  }
  return { busy, total }
}

export function thisMachinesFreeMemory(): number {
  return freemem()
}

/** As the system's own resolver says it, with its hosts file. */
export async function systemLookup(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}
