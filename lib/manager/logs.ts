import type { LogRequest } from '../api/control.js'
import type { LogLine } from '../api/types.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import { type Task, taskId } from '../model/task.js'
import type { Store } from '../store/store.js'

type Line = Omit<LogLine, 'task' | 'node'>

export interface LogSources {
  readonly store: Pick<Store, 'view' | 'onChange'>
  /** The tasks whose lines are asked for, as of now. */
  tasks(): readonly Task[]
  open(task: string, node: string, signal: AbortSignal): AsyncIterable<Line>
}

/** Lines waiting for a slow reader; past it the nodes wait. */
const linesMax = 1_000

/**
 * The lines of several tasks as one stream. Without `follow` they come sorted by time and the stream ends; with it they come as they
 * arrive, tasks that appear later join in, and the stream ends with the signal. A node that cannot be asked is named in a line of its own.
 */
export async function* mergeLogs(
  sources: LogSources,
  request: LogRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogLine> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  const lines = new Channel<LogLine>(linesMax)
  const opened = new Set<string>()
  let open = 0
  const pump = async (task: Task, node: string): Promise<void> => {
    const id = taskId(task)
    const nodeName = sources.store.view().node(node)?.name ?? node
    const named = (line: Line): LogLine => ({ ...line, task: id, node: nodeName })
    try {
      for await (const line of sources.open(id, node, stop.signal)) {
        if (stop.signal.aborted) return // leaving the loop ends the source too
        await lines.push(named(line))
      }
    } catch (error) {
      if (stop.signal.aborted) return
      const text = `[skein] the lines of ${id} on ${nodeName} are not to be had: ${messageOf(error)}`
      await lines.push(named({ stream: 'stderr', at: new Date(), text }))
    } finally {
      open--
      if (open === 0 && !request.follow) lines.end()
    }
  }
  const openNew = (): void => {
    for (const task of sources.tasks()) {
      if (task.node === undefined || opened.has(taskId(task))) continue
      opened.add(taskId(task))
      open++
      void pump(task, task.node) // never rejects: its errors become lines
    }
  }
  const unsubscribe = request.follow ? sources.store.onChange(openNew) : () => undefined
  stop.signal.addEventListener('abort', () => lines.end(), { once: true })
  try {
    openNew()
    if (open === 0 && !request.follow) return
    if (request.follow) yield* lines
    else yield* await sorted(lines, request.tail)
  } finally {
    unsubscribe()
    signal?.removeEventListener('abort', onAbort)
    stop.abort()
  }
}

/** Each node already cut its part to `tail`; here the whole is. */
async function sorted(lines: AsyncIterable<LogLine>, tail: number | undefined): Promise<readonly LogLine[]> {
  const all: LogLine[] = []
  for await (const line of lines) all.push(line)
  all.sort((a, b) => a.at.getTime() - b.at.getTime())
  return tail === undefined ? all : all.slice(Math.max(0, all.length - tail))
}

/** A bounded hand-over between several writers, who wait when it is full, and one reader. */
class Channel<T> implements AsyncIterable<T> {
  readonly #limit: number
  #items: T[] = []
  #ended = false
  #filled: Deferred<void> = deferred()
  #drained: Deferred<void> = deferred()

  constructor(limit: number) {
    this.#limit = limit
  }

  async push(item: T): Promise<void> {
    while (this.#items.length >= this.#limit && !this.#ended) await this.#drained.promise
    if (this.#ended) return
    this.#items.push(item)
    this.#filled.resolve()
  }

  end(): void {
    this.#ended = true
    this.#filled.resolve()
    this.#drained.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const items = this.#items
      this.#items = []
      this.#drained.resolve()
      this.#drained = deferred()
      yield* items
      if (this.#items.length > 0) continue
      if (this.#ended) return
      this.#filled = deferred()
      await this.#filled.promise
    }
  }
}
