/** Amounts in integers, so that sums are exact: 1 CPU is 1e9 cpuNanos. */
export interface Resources {
  readonly cpuNanos: number
  readonly memoryBytes: number
}

export const noResources: Resources = { cpuNanos: 0, memoryBytes: 0 }

export function addResources(a: Resources, b: Resources): Resources {
  return { cpuNanos: a.cpuNanos + b.cpuNanos, memoryBytes: a.memoryBytes + b.memoryBytes }
}

export function subtractResources(a: Resources, b: Resources): Resources {
  return { cpuNanos: a.cpuNanos - b.cpuNanos, memoryBytes: a.memoryBytes - b.memoryBytes }
}

/** True when `need` fits into `free` in every dimension. */
export function fits(need: Resources, free: Resources): boolean {
  return need.cpuNanos <= free.cpuNanos && need.memoryBytes <= free.memoryBytes
}

/** CPUs as people write them (0.5) to cpuNanos. */
export function cpuNanosOf(cpus: number): number {
  return Math.round(cpus * 1e9)
}
