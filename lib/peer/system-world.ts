/** The world as a peer meets it: the real clock and chance, and this machine. */
import { availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os'
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
