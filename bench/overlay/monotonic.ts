/** Milliseconds of the system's monotonic clock, which is the same in all processes of this machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
