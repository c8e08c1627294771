import { playLive } from './demo/live.js'
import { playStory } from './demo/story.js'
import { exitCodes } from './exit-codes.js'

export interface DemoOptions {
  /** Play the story unattended and check it. */
  readonly script: boolean
  readonly format: 'text' | 'json'
  /** Keep the peers' directories. */
  readonly keep: boolean
}

/** `skein demo`: five real processes on loopback. Resolves with the exit code: 0 when every check held, 130 when told to stop, 1 otherwise. */
export async function runDemo({ script, format, keep }: DemoOptions): Promise<number> {
  const kept = keep ? 'keep' : 'remove'
  if (!script) return await playLive(process.stdout, process.stdin, kept)
  const startedMs = performance.now()
  const words = format === 'json' ? process.stderr : process.stdout
  const ending = new AbortController()
  // The demo owns its process: its five peers must not outlive it.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => ending.abort(new Error(`interrupted by ${name}`)))
  const { checks, ms } = await playStory(
    (text) => words.write(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(5)}s  ${text}\n`),
    kept,
    ending.signal,
  )
  const failed = checks.filter(({ ok }) => !ok)
  for (const { name, why } of failed) process.stderr.write(`check failed: ${name}: ${why}\n`)
  const counts = { passed: checks.length - failed.length, failed: failed.length }
  if (format === 'json') process.stdout.write(`${JSON.stringify({ checks: counts, ms })}\n`)
  else process.stdout.write(`${counts.passed} checks passed, ${counts.failed} failed\n`)
  if (ending.signal.aborted) return exitCodes.interrupted
  return failed.length === 0 ? exitCodes.done : exitCodes.failed
}
