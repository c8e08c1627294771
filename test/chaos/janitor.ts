/**
 * Cleans up when its parent is gone, however it went: reads lines `pid N`, `netns NAME`, `link NAME` and `dir PATH` from standard input, and
 * when that ends kills, deletes and removes what they name.
 */
import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isRunning, readProcess } from '../../lib/cli/demo/processes.js'

// Only the end of its input ends it.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined)

const undo: (() => unknown)[] = []
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, name = ''] = line.split(' ')
  const found = kind === 'pid' ? readProcess(Number(name)) : undefined
  if (found !== undefined) undo.unshift(() => isRunning(found) && process.kill(found.pid, 'SIGKILL'))
  // These fail when it is deleted already, which is what is wanted.
  else if (kind === 'netns') undo.push(() => spawnSync('ip', ['netns', 'del', name]))
  else if (kind === 'link') undo.push(() => spawnSync('ip', ['link', 'del', name]))
  else if (kind === 'dir') undo.push(() => rm(name, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }))
}
for (const act of undo) await act()
