import type { NodeDescription } from '../model/node.js'
import { thisMachine } from './system-world.js'

/** What this process and its machine are to the cluster. */
export function describeNode(drivers: readonly string[]): NodeDescription {
  const { hostname, os, arch, pid, cpus, memoryBytes } = thisMachine()
  return { hostname, os, arch, pid, resources: { cpuNanos: cpus * 1e9, memoryBytes }, drivers }
}
