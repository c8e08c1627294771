import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants as osConstants } from 'node:os'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { assert } from '../../base/assert.js'
import { deferred } from '../../base/deferred.js'
import { messageOf, SkeinError } from '../../base/errors.js'
import type { LogOptions, Unit, UnitEnd, UnitLogLine } from '../driver.js'
import { LineSplitter } from '../line-splitter.js'
import type { LogBook } from '../log-book.js'
import type { ReadyCommand } from './command.js'
import { isGroupAlive } from './proc-table.js'

/** What a unit asks of the driver it belongs to. */
export interface UnitHost {
  /** Before the spawn: someone must be there who kills the group when the peer dies, and the task's secrets and configs are laid out. */
  beforeSpawn(): void
  /** Nothing came of it: takes back what was laid out. */
  notSpawned(): Promise<void>
  /** In the same turn as the spawn. */
  spawned(group: number): void
  /** The group is empty: forget it, and kill what left it. */
  ended(group: number): Promise<void>
  /** Frees the task's directory. */
  removed(): Promise<void>
}

/** Each stream is read no faster than this: a flood must not take the thread that also carries heartbeats. About 10 MiB/s. */
const pace = { bytes: 1024 * 1024, perMs: 100 }
const groupPollMs = 25
/** After SIGKILL: how long to wait for the kernel, and for the pipes of what is dead. */
const settleMs = 2_000

/** One task as a process group of its own. Made by the process driver. */
export class ProcessUnit implements Unit {
  readonly #command: ReadyCommand
  readonly #env: Readonly<Record<string, string>>
  readonly #log: LogBook
  readonly #host: UnitHost
  readonly #ended = deferred<UnitEnd>()
  readonly #exited = deferred<{ code: number | null; signal: NodeJS.Signals | null }>()
  #state: 'prepared' | 'started' | 'ended' = 'prepared'
  #child: ChildProcess | undefined
  #stop: { readonly atMs: number; readonly graceMs: number; readonly timer: NodeJS.Timeout } | undefined
  #forced = false

  constructor(command: ReadyCommand, env: Readonly<Record<string, string>>, log: LogBook, host: UnitHost) {
    this.#command = command
    this.#env = env
    this.#log = log
    this.#host = host
  }

  /** Process id of the group's leader, once started. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#state === 'ended') {
      throw new SkeinError('ERR_SKEIN_ABORTED', 'stopped before it started', { what: 'start' })
    }
    assert(this.#state === 'prepared', 'a unit is started once')
    this.#state = 'started'
    try {
      this.#host.beforeSpawn()
      this.#child = this.#spawn()
      await once(this.#child, 'spawn')
    } catch (error) {
      await this.#host.notSpawned()
      this.#end({ code: 127, why: messageOf(error) })
      throw error
    }
    const child = this.#child
    child.once('exit', (code, exitSignal) => this.#exited.resolve({ code, signal: exitSignal }))
    void this.#watch(child)
  }

  /** Nothing may come between the spawn and the report: from there on a dead peer takes the group along. */
  #spawn(): ChildProcess {
    const { file, name, args, workingDir } = this.#command
    const child = spawn(file, args, {
      argv0: name,
      cwd: workingDir,
      env: this.#env,
      detached: true, // a session and process group of its own: a terminal's Ctrl-C is not for it
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    if (child.pid !== undefined) this.#host.spawned(child.pid)
    // `start` hears the error of a spawn; whatever comes later (a signal that could not be sent) must not end the host.
    child.on('error', () => {})
    return child
  }

  wait(): Promise<UnitEnd> {
    return this.#ended.promise
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#state === 'prepared') this.#end({ code: 128 + osConstants.signals.SIGTERM, why: 'stopped before it started' })
    if (this.#state === 'started') this.#askToStop(graceMs)
    await this.#ended.promise
  }

  async remove(): Promise<void> {
    await this.stop(0)
    await this.#log.remove()
    await this.#host.removed()
  }

  logs(options: LogOptions): AsyncIterable<UnitLogLine> {
    return this.#log.read(options)
  }

  /** A second call may only shorten the grace. */
  #askToStop(graceMs: number): void {
    const forceAtMs = performance.now() + graceMs
    if (this.#stop === undefined) this.#signal(this.#command.stopSignal)
    else if (this.#stop.atMs <= forceAtMs) return
    clearTimeout(this.#stop?.timer)
    const timer = setTimeout(() => this.#force(), graceMs)
    this.#stop = { atMs: forceAtMs, graceMs, timer }
  }

  #force(): void {
    this.#forced = true
    this.#signal('SIGKILL')
  }

  /** To the whole group. */
  #signal(signal: NodeJS.Signals): void {
    const group = this.#child?.pid
    if (group === undefined) return // it could not be spawned, and `start` is about to say so
    assert(group > 1, 'a group of its own, never all processes')
    try {
      process.kill(-group, signal)
    } catch {
      // Nobody is left in the group, or all of it belongs to other users by now: nothing we could do better.
    }
  }

  async #watch(child: ChildProcess): Promise<void> {
    const group = child.pid
    assert(group !== undefined, 'a spawned child has a pid')
    const pumped = Promise.all([this.#pump(child.stdout, 'stdout'), this.#pump(child.stderr, 'stderr')])
    const exit = await this.#exited.promise
    await this.#emptyGroup(group)
    clearTimeout(this.#stop?.timer)
    await this.#host.ended(group)
    // A process that left the group and hides from us may still hold the pipes.
    await Promise.race([pumped, sleep(settleMs, undefined, { ref: false })])
    child.stdout?.destroy()
    child.stderr?.destroy()
    await pumped
    await this.#log.close()
    this.#end(this.#endOf(exit))
  }

  /** The rest of the group follows its leader: at once if that ended by itself, within the grace if it was asked to stop. */
  async #emptyGroup(group: number): Promise<void> {
    if (this.#stop === undefined) this.#signal('SIGKILL')
    const isForced = (): boolean => this.#forced || this.#stop === undefined
    let forcedAtMs = isForced() ? performance.now() : undefined
    while (await isGroupAlive(group)) {
      if (isForced()) forcedAtMs ??= performance.now()
      if (forcedAtMs !== undefined && performance.now() - forcedAtMs > settleMs) return
      await sleep(groupPollMs)
    }
  }

  /** Reads no further than it has written: a task that floods its output waits on its own pipe. */
  async #pump(source: Readable | null, stream: UnitLogLine['stream']): Promise<void> {
    if (source === null) return
    const splitter = new LineSplitter()
    let windowAtMs = performance.now()
    let windowBytes = 0
    try {
      for await (const chunk of source as AsyncIterable<Uint8Array>) {
        await this.#log.append(stream, splitter.push(chunk))
        windowBytes += chunk.length
        if (windowBytes < pace.bytes) continue
        const leftMs = windowAtMs + pace.perMs - performance.now()
        if (leftMs > 0 && this.#child?.exitCode === null) await sleep(leftMs)
        windowAtMs = performance.now()
        windowBytes = 0
      }
    } catch {
      // The pipe was destroyed under us when the task was over: what was read is kept.
    }
    await this.#log.append(stream, splitter.end())
  }

  #endOf({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): UnitEnd {
    if (signal === null) return { code: code ?? 0 }
    const killed = `killed by ${signal}`
    const why = this.#forced
      ? `${killed}: did not stop within ${this.#stop?.graceMs ?? 0} ms of ${this.#command.stopSignal}`
      : killed
    return { code: 128 + osConstants.signals[signal], why }
  }

  #end(end: UnitEnd): void {
    this.#state = 'ended'
    this.#ended.resolve(end)
  }
}
