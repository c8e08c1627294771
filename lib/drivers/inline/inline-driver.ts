import { availableParallelism, totalmem } from 'node:os'
import { assert } from '../../base/assert.js'
import { deferred } from '../../base/deferred.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import type { Assigned, LogOptions, RuntimeDriver, Unit, UnitEnd, UnitLogLine } from '../driver.js'
import { LineSplitter } from '../line-splitter.js'
import { LogBook } from '../log-book.js'

/** What a task's function is given. */
export interface InlineContext {
  /** Fires when the task shall stop; past the grace the function is abandoned. */
  readonly signal: AbortSignal
  /** Only the task's own; the peer's is at hand anyway. */
  readonly env: Readonly<Record<string, string>>
  /** The task's secrets by target: its own copies, overwritten when the function has ended. */
  readonly secrets: ReadonlyMap<string, Uint8Array>
  /** The task's configs by target: its own copies. */
  readonly configs: ReadonlyMap<string, Uint8Array>
  /** The command after the function's name. */
  readonly args: readonly string[]
  readonly task: Pick<Assigned, 'id' | 'service' | 'slot'>
  /** Adds to the task's stdout. */
  log(line: string): void
  /** Adds to the task's stderr. */
  error(line: string): void
}

/** A task as a function. Its number is the exit code; none is 0. A throw is exit code 1. */
export type InlineFunction = (context: InlineContext) => Promise<number | undefined> | Promise<void>

export interface InlineDriverOptions {
  /** What a task's command[0] may name. */
  readonly functions: Readonly<Record<string, InlineFunction>>
}

const logBounds = { bytesMax: 256 * 1024, filesMax: 2 }
/** As for a process that SIGKILL ended. */
const abandonedCode = 137

/**
 * Runs each task as a function of the host process: no isolation, no limits, and nothing that can be killed. A function that ignores
 * its signal is abandoned after the grace (exit code 137): the task counts as ended, whatever the function does later is ignored.
 */
export function inlineDriver({ functions }: InlineDriverOptions): RuntimeDriver {
  return {
    name: 'inline',
    async describe() {
      return {
        cpus: availableParallelism(),
        memoryBytes: totalmem(),
        platform: `${process.platform}/${process.arch}`,
        limits: 'ignored',
      }
    },
    async prepare(task) {
      const [name] = task.spec.command
      if (name !== undefined && Object.hasOwn(functions, name)) return new InlineUnit(task, functions[name] as InlineFunction)
      const known = Object.keys(functions).sort()
      const offer = known.length === 0 ? 'this node has none' : `this node has: ${known.join(', ')}`
      throw new SkeinError('ERR_SKEIN_TASK_REJECTED', `no function "${name ?? ''}"; ${offer}`, { task: task.id })
    },
  }
}

class InlineUnit implements Unit {
  readonly #task: Assigned
  readonly #work: InlineFunction
  readonly #log = new LogBook(logBounds)
  readonly #stopping = new AbortController()
  readonly #ended = deferred<UnitEnd>()
  #state: 'prepared' | 'started' | 'ended' = 'prepared'

  constructor(task: Assigned, work: InlineFunction) {
    this.#task = task
    this.#work = work
  }

  async start(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#state === 'ended') {
      throw new SkeinError('ERR_SKEIN_ABORTED', 'stopped before it started', { what: 'start' })
    }
    assert(this.#state === 'prepared', 'a unit is started once')
    this.#state = 'started'
    // Not awaited: it may run for months. Both outcomes are taken, also long after the task was abandoned.
    void this.#run().then(
      (code) => this.#end(endOf(code)),
      (error: unknown) => this.#end({ code: 1, why: messageOf(error) }),
    )
  }

  wait(): Promise<UnitEnd> {
    return this.#ended.promise
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#state === 'prepared') this.#end({ code: abandonedCode, why: 'stopped before it started' })
    if (this.#state === 'ended') return
    this.#stopping.abort(new SkeinError('ERR_SKEIN_ABORTED', 'the task was asked to stop', { what: this.#task.id }))
    const timer = setTimeout(() => this.#end({ code: abandonedCode, why: 'did not stop within its grace' }), graceMs)
    await this.#ended.promise
    clearTimeout(timer)
  }

  async remove(): Promise<void> {
    await this.stop(0)
    await this.#log.remove()
  }

  logs(options: LogOptions): AsyncIterable<UnitLogLine> {
    return this.#log.read(options)
  }

  async #run(): Promise<unknown> {
    const { id, service, slot, spec, secrets, configs } = this.#task
    return await this.#work({
      signal: this.#stopping.signal,
      env: spec.env,
      secrets,
      configs,
      args: spec.command.slice(1),
      task: { id, service, slot },
      log: (line) => this.#write('stdout', line),
      error: (line) => this.#write('stderr', line),
    })
  }

  #write(stream: UnitLogLine['stream'], text: string): void {
    const splitter = new LineSplitter()
    // In memory, so it is kept when this returns.
    void this.#log.append(stream, splitter.push(Buffer.from(`${text}\n`)))
  }

  #end(end: UnitEnd): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    for (const data of this.#task.secrets.values()) data.fill(0)
    void this.#log.close().then(() => this.#ended.resolve(end))
  }
}

function endOf(code: unknown): UnitEnd {
  if (code === undefined) return { code: 0 }
  if (typeof code === 'number' && Number.isInteger(code) && code >= 0 && code <= 255) return { code }
  return { code: 1, why: `the function returned ${String(code)}; expected a whole number from 0 to 255, or nothing` }
}
