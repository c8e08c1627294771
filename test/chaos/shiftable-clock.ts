/**
 * Lets another process jump this one's clocks, while it runs: lines on standard input say by how many milliseconds. Everything
 * that JavaScript reads of the time goes through here; timers keep their own pace, as they do under a real jump of the wall clock.
 */
import { createInterface } from 'node:readline'

/** `wall` jumps either way, as ntp or an operator does it; `monotonic` only ahead, as after a machine was suspended. */
export interface ClockJump {
  readonly clock: 'wall' | 'monotonic'
  readonly byMs: number
}

export function obeyClockJumps(): void {
  const shiftMs = { wall: 0, monotonic: 0 }
  const wallNow = Date.now.bind(Date)
  const monotonicNow = performance.now.bind(performance)
  Date.now = () => wallNow() + shiftMs.wall
  performance.now = () => monotonicNow() + shiftMs.monotonic
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { clock, byMs } = JSON.parse(line) as ClockJump
    shiftMs[clock] += byMs
  })
  process.stdin.unref()
}
