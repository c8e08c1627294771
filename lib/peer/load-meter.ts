/** How busy this machine and this process are: sampled, smoothed, and told only when it differs or has not been told for long. */
import { type LoadRow, loadPeriodMs } from '../api/worker-rows.js'
import type { Clock } from '../base/clock.js'

/** Times of all CPUs since the machine started, in any one unit. */
export interface CpuTimes {
  readonly busy: number
  readonly total: number
}

export interface LoadMeterWorld {
  readonly clock: Clock
  cpuTimes(): CpuTimes
  memoryFreeBytes(): number
  /** What no task reserves, and how many tasks there are. */
  unreserved(): Pick<LoadRow, 'unreservedCpuNanos' | 'unreservedMemoryBytes' | 'tasks'>
  tell(load: LoadRow): void
}

const sampleMs = 2_000
/** Weight of the newest sample. */
const newest = 0.3
/** Told when something differs by more than this part of what was told, of all CPUs, or so many milliseconds: less is weather. */
const difference = 0.1
const lagDifferenceMs = 50
/** At least so long between two statements of the weather: a machine that is busy by turns is no reason to tell everybody each time. */
const pauseMs = 10_000

export class LoadMeter {
  readonly #world: LoadMeterWorld
  #cancelTimer: (() => void) | undefined
  #was: CpuTimes = { busy: 0, total: 0 }
  #cpu = 0
  #lagMs = 0
  #told: LoadRow | undefined
  #toldMs = 0
  #dueMs = 0

  constructor(world: LoadMeterWorld) {
    this.#world = world
  }

  start(): void {
    const { clock, cpuTimes } = this.#world
    this.#was = cpuTimes()
    this.#dueMs = clock.now() + sampleMs
    this.#cancelTimer ??= clock.every(sampleMs, () => this.#sample())
  }

  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #sample(): void {
    const { clock, cpuTimes, memoryFreeBytes, unreserved, tell } = this.#world
    const nowMs = clock.now()
    const times = cpuTimes()
    const totalPassed = times.total - this.#was.total
    if (totalPassed > 0) this.#cpu += newest * ((times.busy - this.#was.busy) / totalPassed - this.#cpu)
    this.#was = times
    this.#lagMs += newest * (Math.max(0, nowMs - this.#dueMs) - this.#lagMs)
    this.#dueMs = nowMs + sampleMs
    const load: LoadRow = {
      count: (this.#told?.count ?? 0) + 1,
      cpu: Math.round(this.#cpu * 1000) / 1000,
      lagMs: Math.round(this.#lagMs),
      memoryFreeBytes: memoryFreeBytes(),
      ...unreserved(),
    }
    if (this.#told !== undefined && !isNews(this.#told, load, nowMs - this.#toldMs)) return
    this.#told = load
    this.#toldMs = nowMs
    tell(load)
  }
}

function isNews(told: LoadRow, now: LoadRow, sinceMs: number): boolean {
  if (sinceMs >= loadPeriodMs || isOtherwiseReserved(told, now)) return true
  return sinceMs >= pauseMs && differs(told, now)
}

function isOtherwiseReserved(a: LoadRow, b: LoadRow): boolean {
  return (
    a.tasks !== b.tasks || a.unreservedCpuNanos !== b.unreservedCpuNanos || a.unreservedMemoryBytes !== b.unreservedMemoryBytes
  )
}

function differs(a: LoadRow, b: LoadRow): boolean {
  const moved = (was: number, is: number): boolean => Math.abs(is - was) > difference * Math.max(Math.abs(was), Math.abs(is))
  return (
    Math.abs(a.cpu - b.cpu) > difference ||
    Math.abs(a.lagMs - b.lagMs) > lagDifferenceMs ||
    moved(a.memoryFreeBytes, b.memoryFreeBytes)
  )
}
