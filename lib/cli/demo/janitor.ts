/**
 * Cleans up after a demo that went away without doing so itself (SIGKILL, a crash of the machine's terminal): reads pids of peers
 * from its standard input; when that ends, kills those that still run and removes the directory.
 */
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isRunning, type ProcessId, readProcess } from './processes.js'

const [dir, keep] = process.argv.slice(2)
const peers: ProcessId[] = []

// Only the end of its input ends it.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined)

for await (const line of createInterface({ input: process.stdin })) {
  const found = readProcess(Number(line))
  if (found !== undefined) peers.push(found)
}
for (const peer of peers.filter(isRunning)) process.kill(peer.pid, 'SIGKILL')
if (dir !== undefined && keep !== 'keep') await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
