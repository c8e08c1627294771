/** The only file that touches the real clock and real chance. */
import { randomBytes } from 'node:crypto'
import { availableParallelism, hostname, networkInterfaces, totalmem } from 'node:os'
import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import type { InterfaceAddress } from '../overlay/transport/index.js'

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, act) {
    const timer = setTimeout(act, delayMs)
    return () => clearTimeout(timer)
  },
  every(periodMs, act) {
    const timer = setInterval(act, periodMs)
    return () => clearInterval(timer)
  },
}

/** 48 random bits as a fraction: ids are made from this, so it must not be guessable. */
export const systemRandom: Random = () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48

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
