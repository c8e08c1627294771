import { nanoid } from 'nanoid'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'
import type { ControlCaller } from './control.js'
import type { Progress, Service, Task } from './types.js'

interface ConvergeOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  readonly monitorMs?: number
}

/**
 * Follows a service until every slot runs the current spec and has stayed so for `monitorMs`. Always ends.
 * @throws {SkeinError} ERR_SKEIN_TASKS_EXHAUSTED (`detail.task`), ERR_SKEIN_NOT_CONVERGED after `timeoutMs`, ERR_SKEIN_ABORTED
 */
export async function* converge(
  caller: ControlCaller,
  clock: Clock,
  ref: string,
  { signal, timeoutMs = 60_000, monitorMs = 1_000 }: ConvergeOptions,
): AsyncGenerator<Progress> {
  const endMs = clock.now() + timeoutMs
  // One signal for the watch and for every call under it: the caller's, or ours at the deadline.
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  const head = () => ({
    requestId: nanoid(),
    deadlineMs: Math.max(1, endMs - clock.now()),
    signal: stop.signal,
  })
  let stableSinceMs: number | undefined
  let last = ''
  let progress: Progress | undefined
  let name = ref
  let news: AsyncIterator<unknown> | undefined
  try {
    news = caller.stream('watch', { kinds: ['task', 'service'] }, stop.signal)[Symbol.asyncIterator]()
    let pending = news.next()
    pending.catch(() => undefined) // awaited below, after the reads; a rejection meanwhile must not count as unhandled
    for (;;) {
      const service = await caller.call('services.get', { ref }, head())
      const { items } = await caller.call('tasks.list', { service: service.id }, head())
      name = service.name
      progress = progressOf(service, items)
      const failed = exhaustedTask(service, items)
      if (failed !== undefined) {
        throw new SkeinError(
          'ERR_SKEIN_TASKS_EXHAUSTED',
          `${service.name}: gave up on ${failed.name} after its restart attempts; last: ${failed.why}`,
          { task: failed },
        )
      }
      const all = progress.running === progress.desired && progress.slots.length === progress.desired
      stableSinceMs = all ? (stableSinceMs ?? clock.now()) : undefined
      const quietMs = stableSinceMs === undefined ? undefined : clock.now() - stableSinceMs
      if (quietMs !== undefined && quietMs >= monitorMs) {
        yield { ...progress, phase: 'converged' }
        return
      }
      const seen = JSON.stringify(progress)
      if (seen !== last) yield progress
      last = seen
      const waitMs = Math.min(endMs - clock.now(), quietMs === undefined ? 1_000 : monitorMs - quietMs)
      if (waitMs <= 0 && clock.now() >= endMs) break
      if (await changedWithin(pending, waitMs, clock)) {
        pending = news.next()
        pending.catch(() => undefined) // as above
      }
    }
    const waiting = progress?.slots.find(({ state }) => state !== 'running')
    throw new SkeinError(
      'ERR_SKEIN_NOT_CONVERGED',
      `${name}: ${progress?.running ?? 0} of ${progress?.desired ?? 0} running after ${timeoutMs} ms` +
        (waiting === undefined ? '' : `; slot ${waiting.slot} is ${waiting.state}: ${waiting.why}`),
      { service: name, running: progress?.running ?? 0, desired: progress?.desired ?? 0 },
    )
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stop.abort()
    // Not awaited: a link that hangs must not hold up an answer. What it was still to say interests nobody.
    news?.return?.().catch(() => undefined)
  }
}

/** True when the promise settled with a value before the time was up; an ended or broken watch counts as news once. */
async function changedWithin(next: Promise<unknown>, waitMs: number, clock: Clock): Promise<boolean> {
  const late = deferred<false>()
  const cancel = clock.after(Math.max(0, waitMs), () => late.resolve(false))
  try {
    return await Promise.race([next.then(() => true), late.promise])
  } finally {
    cancel()
  }
}

/** The newest task of each slot decides what the slot shows; a wished-away slot is not shown. */
function progressOf(service: Service, tasks: readonly Task[]): Progress {
  const newest = new Map<number, Task>()
  for (const task of tasks) {
    if (task.desired === 'remove') continue
    const best = newest.get(task.slot)
    if (best === undefined || task.generation > best.generation) newest.set(task.slot, task)
  }
  const current = [...newest.values()].sort((a, b) => a.slot - b.slot)
  const running = current.filter(isDone).length
  const outdated = tasks.some((task) => task.desired !== 'remove' && task.observed === 'running' && !isDone(task))
  return {
    desired: service.desired,
    running,
    phase: running === service.desired && !outdated ? 'verifying' : 'rolling',
    slots: current.map((task) => ({ slot: task.slot, state: task.observed, node: task.nodeName, why: task.why })),
  }
}

/** What a slot should come to: its task runs, or has completed and need not run again. */
function isDone(task: Task): boolean {
  return task.current && (task.finished || (task.observed === 'running' && task.desired === 'running'))
}

/** A slot whose newest attempt failed and that will not be tried again. */
function exhaustedTask(service: Service, tasks: readonly Task[]): Task | undefined {
  return tasks.find((task) => task.exhausted && task.specVersion === service.specVersion && task.desired !== 'remove')
}
