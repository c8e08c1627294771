import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../base/errors.js'
import type { LinkOrder } from './peer-process.js'
import { descendantsOf, isRunning, type ProcessId } from './processes.js'

/** What `skein up --format json` says once it is usable. */
export interface Ready {
  readonly id: string
  readonly name: string
  readonly address: string
  readonly role: 'manager' | 'worker'
  readonly cluster: string
  readonly pid: number
  readonly invite?: { readonly manager: string; readonly worker: string }
}

/** One peer of the demo: its directory outlives its process. */
export interface Machine {
  readonly name: string
  readonly role: 'manager' | 'worker'
  readonly dir: string
  process: ChildProcess | undefined
  ready: Ready | undefined
}

const peerFile = fileURLToPath(new URL('./peer-process.js', import.meta.url))
const janitorFile = fileURLToPath(new URL('./janitor.js', import.meta.url))
/** A peer that is not usable by then never will be. */
const readyTimeoutMs = 30_000

/**
 * Real peers as processes on loopback, in one temporary directory. A janitor process holds a pipe from this one: when this one is
 * gone, however it went, the janitor kills the peers (whose own guardians kill their tasks) and removes the directory.
 */
export class Fleet implements AsyncDisposable {
  readonly dir: string
  readonly machines: Machine[] = []
  readonly #janitor: ChildProcess
  readonly #keep: boolean
  /** Every process that ever was under this fleet, as last seen; for the check that none is left. */
  readonly #seen = new Map<string, ProcessId>()

  private constructor(dir: string, janitor: ChildProcess, keep: 'keep' | 'remove') {
    this.dir = dir
    this.#janitor = janitor
    this.#keep = keep === 'keep'
  }

  static async open(keep: 'keep' | 'remove'): Promise<Fleet> {
    const dir = await mkdtemp(join(tmpdir(), 'skein-demo-'))
    const janitor = spawn(process.execPath, [janitorFile, dir, keep], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    janitor.stdin?.on('error', () => undefined) // it is gone already: then there is nothing left to tell it
    janitor.unref()
    return new Fleet(dir, janitor, keep)
  }

  machine(name: string): Machine {
    const found = this.machines.find((each) => each.name === name)
    if (found === undefined) throw new Error(`no machine ${name}`)
    return found
  }

  add(name: string, role: 'manager' | 'worker'): Machine {
    const machine: Machine = { name, role, dir: join(this.dir, name), process: undefined, ready: undefined }
    this.machines.push(machine)
    return machine
  }

  /** Starts the machine's process and waits until its peer is usable; without `joinString` it comes back from its directory or founds. */
  async start(machine: Machine, joinString?: string): Promise<Ready> {
    const args = [peerFile, 'up', '--dir', machine.dir, '--name', machine.name, '--format', 'json']
    if (joinString !== undefined) args.push('--join', joinString)
    // A session of its own: Ctrl-C in the terminal reaches only the demo, which then stops the peers in order.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], detached: true })
    machine.process = child
    this.#janitor.stdin?.write(`${child.pid}\n`)
    const words: string[] = []
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      words.push(line)
      if (words.length > 20) words.shift()
    })
    const ready = await firstLine(machine.name, child, words)
    machine.ready = ready
    return ready
  }

  /** SIGKILL: what a crash of the machine looks like. Resolves when the process is gone. */
  async kill(machine: Machine): Promise<void> {
    const child = machine.process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    this.noteProcesses()
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    machine.process = undefined
  }

  /** From now on nothing passes between the machine and anybody, as behind a dead switch; its process and its tasks run on. */
  async silence(machine: Machine): Promise<void> {
    await this.#order(machine, 'silent')
  }

  /** Ends a silence; what was said meanwhile arrives. */
  async heal(machine: Machine): Promise<void> {
    await this.#order(machine, 'healed')
  }

  /** Both ends are told: to each of the others the machine is silent, to the machine everybody is. */
  async #order(machine: Machine, links: LinkOrder['links']): Promise<void> {
    const names = machine.ready === undefined ? [] : [machine.ready.id, machine.ready.address]
    const live = this.machines.filter((each) => this.alive(each))
    await Promise.all(live.map((each) => tell(each, { links, names: each === machine ? [] : names })))
  }

  alive(machine: Machine): boolean {
    const child = machine.process
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Remembers every process under the peers that live now. */
  noteProcesses(): void {
    for (const machine of this.machines) {
      const pid = machine.process?.pid
      if (pid === undefined || !this.alive(machine)) continue
      for (const found of descendantsOf(pid)) this.#seen.set(`${found.pid}/${found.startedAt}`, found)
    }
  }

  /** Processes of this fleet that still run. */
  leftOver(): readonly ProcessId[] {
    return [...this.#seen.values()].filter(isRunning)
  }

  /** Stops every peer (which stops its tasks), then removes the directory. Any number of times. */
  async stop(): Promise<void> {
    this.noteProcesses()
    await Promise.all(this.machines.map((machine) => this.#stopOne(machine)))
    if (!this.#keep) await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
    this.#janitor.stdin?.end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stopOne(machine: Machine): Promise<void> {
    const child = machine.process
    if (child === undefined || !this.alive(machine)) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    // A peer that does not end in time is a bug; the check of left-over processes will say so.
    const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await gone
    clearTimeout(late)
    machine.process = undefined
  }
}

/** Resolves when it is so. */
async function tell({ name, process: child }: Machine, order: LinkOrder): Promise<void> {
  if (child === undefined) throw new Error(`${name} does not run`)
  const done = Promise.race([once(child, 'message'), once(child, 'exit')])
  child.send(order)
  await done
}

async function firstLine(name: string, child: ChildProcess, words: readonly string[]): Promise<Ready> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(new Error(`not usable after ${readyTimeoutMs} ms`)), readyTimeoutMs)
  try {
    const line = once(lines, 'line', { signal: giveUp.signal }).then(([text]) => String(text))
    const exit = once(child, 'exit', { signal: giveUp.signal }).then(([code, by]) => {
      throw new Error(`it ended with ${by ?? `code ${code}`}`)
    })
    exit.catch(() => undefined) // the loser of the race
    const said = JSON.parse(await Promise.race([line, exit])) as Ready | { readonly error: { readonly message: string } }
    if ('error' in said) throw new Error(said.error.message)
    return said
  } catch (cause) {
    throw new Error(`${name} did not start: ${messageOf(cause)}\n${words.join('\n')}`, { cause })
  } finally {
    clearTimeout(timer)
    giveUp.abort()
  }
}
