import type {
  AssignedTask,
  Assignments,
  BeatAnswer,
  SessionApi,
  SessionHello,
  SessionOpened,
  TaskReport,
} from '../../lib/api/session.js'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import type { Assigned, RuntimeDriver, Unit, UnitEnd } from '../../lib/drivers/driver.js'
import type { DesiredState, TaskState } from '../../lib/model/task.js'
import { MemoryStorage } from '../../lib/storage/memory-storage.js'
import type { Storage } from '../../lib/storage/storage.js'
import { plainTask } from '../../lib/testing/plain-task.js'

/** A task for the fake driver. */
export function aTask(id: string, desired: DesiredState = 'running', driver = 'fake'): AssignedTask {
  return {
    id,
    service: 'aaaaaaaaaaaa',
    serviceName: 'web',
    slot: 1,
    desired,
    spec: { ...plainTask, driver, env: { A: 'b' }, stopGraceMs: 1_000 },
  }
}

export function complete(set: readonly AssignedTask[], resultsIn = 1): Assignments {
  return { type: 'complete', appliesTo: 0, resultsIn, set, remove: [] }
}

export function incremental(
  appliesTo: number,
  change: { set?: readonly AssignedTask[]; remove?: readonly string[] },
): Assignments {
  return { type: 'incremental', appliesTo, resultsIn: appliesTo + 1, set: change.set ?? [], remove: change.remove ?? [] }
}

/** A unit whose end the test decides; counts how many of its task run at once. */
export class FakeUnit implements Unit {
  readonly task: string
  readonly #end = deferred<UnitEnd>()
  readonly #driver: FakeDriver
  calls: string[] = []

  constructor(driver: FakeDriver, task: string) {
    this.#driver = driver
    this.task = task
  }

  async start(): Promise<void> {
    this.calls.push('start')
    this.#driver.calls.push(`start ${this.task}`)
    if (this.#driver.startError !== undefined) throw this.#driver.startError
    this.#driver.running.add(this)
  }

  wait(): Promise<UnitEnd> {
    return this.#end.promise
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
    this.#driver.calls.push(`stop ${this.task}`)
    await this.#driver.stopGate?.promise
    if (this.#driver.stopErrors > 0) {
      this.#driver.stopErrors--
      throw new Error('the runtime does not answer')
    }
    this.exit({ code: 143, why: 'killed by SIGTERM' })
  }

  async remove(): Promise<void> {
    this.calls.push('remove')
    this.#driver.calls.push(`remove ${this.task}`)
  }

  async *logs(): AsyncGenerator<{ stream: 'stdout'; at: Date; text: string }> {
    yield { stream: 'stdout', at: new Date(0), text: `line of ${this.task}` }
  }

  exit(end: UnitEnd): void {
    this.#driver.running.delete(this)
    this.#end.resolve(end)
  }
}

/** A driver that does at once what it is told; the test may make it slow or unwilling. */
export class FakeDriver implements RuntimeDriver {
  readonly name = 'fake'
  readonly calls: string[] = []
  readonly units = new Map<string, FakeUnit>()
  readonly running = new Set<FakeUnit>()
  prepareGate: { promise: Promise<void> } | undefined
  stopGate: { promise: Promise<void> } | undefined
  prepareError: Error | undefined
  startError: Error | undefined
  stopErrors = 0
  closed = 0
  /** What an earlier agent left running and this driver can take over. */
  recoverable = new Map<string, Unit>()
  recoverAsked: string[] = []

  async describe(): Promise<{ cpus: number; memoryBytes: number }> {
    return { cpus: 1, memoryBytes: 1 }
  }

  async prepare(task: Assigned): Promise<Unit> {
    this.calls.push(`prepare ${task.id}`)
    await this.prepareGate?.promise
    if (this.prepareError !== undefined) throw this.prepareError
    const unit = new FakeUnit(this, task.id)
    this.units.set(task.id, unit)
    return unit
  }

  async recover(tasks: readonly Assigned[]): Promise<ReadonlyMap<string, Unit>> {
    this.recoverAsked = tasks.map(({ id }) => id)
    return this.recoverable
  }

  async close(): Promise<void> {
    this.closed++
  }

  unit(id: string): FakeUnit {
    const unit = this.units.get(id)
    if (unit === undefined) throw new Error(`no unit was prepared for ${id}`)
    return unit
  }
}

/** A leading manager under the test's thumb. Each open makes session s1, s2, … */
export class FakeManager implements SessionApi {
  readonly hellos: SessionHello[] = []
  readonly beats: string[] = []
  readonly reports: TaskReport[][] = []
  readonly left: string[] = []
  leaveGate: { promise: Promise<void> } | undefined
  /** Messages pushed to the newest assignment stream. */
  #streams: { session: string; push(message: Assignments): void; end(): void }[] = []
  readonly #watchers = new Set<() => void>()
  heartbeatMs = 1_000
  /** What each beat is told of how lately the leader was sure to lead. */
  ledAgoMs: number | undefined
  openError: Error | undefined
  beatError: Error | undefined
  reportError: Error | undefined
  reportGate: { promise: Promise<void> } | undefined
  forget: string[] = []
  /** Sent first on every stream. */
  first: Assignments | undefined = complete([])

  async open(_node: string, hello: SessionHello): Promise<SessionOpened> {
    this.hellos.push(hello)
    this.#changed()
    if (this.openError !== undefined) throw this.openError
    return { session: `s${this.hellos.length}`, heartbeatMs: this.heartbeatMs, managers: [{ node: 'm', address: '127.0.0.1:1' }] }
  }

  async beat(_node: string, session: string): Promise<BeatAnswer> {
    this.beats.push(session)
    this.#changed()
    if (this.beatError !== undefined) throw this.beatError
    return { heartbeatMs: this.heartbeatMs, ...(this.ledAgoMs !== undefined && { ledAgoMs: this.ledAgoMs }) }
  }

  async *assignments(_node: string, session: string): AsyncGenerator<Assignments> {
    const queue: (Assignments | 'end')[] = this.first === undefined ? [] : [this.first]
    let wake = deferred()
    const add = (item: Assignments | 'end'): void => {
      queue.push(item)
      wake.resolve()
    }
    this.#streams.push({ session, push: add, end: () => add('end') })
    this.#changed()
    for (;;) {
      const item = queue.shift()
      if (item === 'end') return
      if (item !== undefined) yield item
      else {
        await wake.promise
        wake = deferred()
      }
    }
  }

  async report(_node: string, _session: string, reports: readonly TaskReport[]): Promise<{ forget: readonly string[] }> {
    this.reports.push([...reports])
    this.#changed()
    await this.reportGate?.promise
    if (this.reportError !== undefined) throw this.reportError
    const forget = this.forget
    this.forget = []
    return { forget }
  }

  async leave(_node: string, session: string): Promise<void> {
    this.left.push(session)
    this.#changed()
    await this.leaveGate?.promise
  }

  get streams(): number {
    return this.#streams.length
  }

  push(message: Assignments): void {
    this.#streams.at(-1)?.push(message)
  }

  endStream(): void {
    this.#streams.at(-1)?.end()
  }

  /** The last state reported of a task. */
  stateOf(id: string): TaskState | undefined {
    return this.reportOf(id)?.state
  }

  reportOf(id: string): TaskReport | undefined {
    return this.reports.flat().findLast((report) => report.id === id)
  }

  /** Resolves once the condition holds, looking again whenever the agent asks something. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { promise, resolve } = deferred()
      this.#watchers.add(resolve)
      await promise
    }
  }

  #changed(): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    // After the call's own turn, so that what it pushed can be seen.
    setImmediate(() => {
      for (const watcher of watchers) watcher()
    })
  }
}

/** Survives the agent that closes it, as a directory survives a process. */
export function lastingStorage(): { open(): Storage; writes: number; failure: Error | undefined } {
  const kept = new MemoryStorage()
  const state = {
    writes: 0,
    failure: undefined as Error | undefined,
    open(): Storage {
      let isClosed = false
      const check = (): void => {
        if (isClosed) throw new SkeinError('ERR_SKEIN_STOPPED', 'the storage is closed', { what: 'storage' })
      }
      return {
        get: (key) => kept.get(key),
        range: (range) => kept.range(range),
        async batch(writes, options) {
          check()
          if (state.failure !== undefined) throw state.failure
          state.writes++
          await kept.batch(writes, options)
        },
        async close() {
          isClosed = true
        },
        async [Symbol.asyncDispose]() {
          isClosed = true
        },
      }
    },
  }
  return state
}

/** Lets everything that is ready run. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}
