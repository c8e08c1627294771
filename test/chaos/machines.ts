import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { PeerOptions } from '../../lib/index.js'
import type { Network } from './network.js'
import type { Ready } from './peer-process.js'
import type { ClockJump } from './shiftable-clock.js'

const peerFile = fileURLToPath(new URL('./peer-process.js', import.meta.url))
const janitorFile = fileURLToPath(new URL('./janitor.js', import.meta.url))
const firstReadyMs = 60_000

/** A machine of the cluster: its directory outlives its process. */
export interface Machine {
  readonly number: number
  readonly name: string
  readonly dir: string
  /** What it said when it was last usable; it keeps its address. */
  ready: Ready | undefined
  state: 'off' | 'on' | 'paused'
  process: ChildProcess | undefined
}

/** The machines of a run, and whatever would outlive this process. */
export class Machines {
  readonly all: readonly Machine[]
  /** Machines whose process ended although nobody killed it, and its last words. */
  readonly crashes: string[] = []
  readonly #dir: string
  readonly #network: Network
  readonly #janitor: ReturnType<typeof spawnJanitor>
  readonly #options: PeerOptions
  #closing = false

  private constructor(
    count: number,
    dir: string,
    network: Network,
    janitor: ReturnType<typeof spawnJanitor>,
    options: PeerOptions,
  ) {
    this.#dir = dir
    this.#network = network
    this.#janitor = janitor
    this.#options = options
    this.all = Array.from({ length: count }, (_, number) => {
      const name = `m${number + 1}`
      return { number, name, dir: join(dir, name), ready: undefined, state: 'off', process: undefined }
    })
  }

  /** @param open Makes the network; it says through its argument what the janitor must clean up if this process dies. */
  static async open(
    count: number,
    open: (owned: (kind: 'netns' | 'link', name: string) => void) => Promise<Network>,
    options: PeerOptions,
  ): Promise<Machines> {
    const janitor = spawnJanitor()
    const dir = await mkdtemp(join(tmpdir(), 'skein-chaos-'))
    janitor.stdin.write(`dir ${dir}\n`)
    try {
      const network = await open((kind, name) => janitor.stdin.write(`${kind} ${name}\n`))
      return new Machines(count, dir, network, janitor, options)
    } catch (error) {
      janitor.stdin.end()
      throw error
    }
  }

  get network(): Network {
    return this.#network
  }

  /** Starts the machine's process; resolves once its peer is usable, which in a broken cluster may be never. */
  async start(machine: Machine, joinString?: string): Promise<void> {
    const { number, name, dir } = machine
    const options: PeerOptions = {
      ...this.#options,
      name,
      dir,
      listen: this.#network.listen(number),
      ...(joinString && { join: joinString }),
    }
    const [file, args] = this.#network.command(number, process.execPath, [peerFile, JSON.stringify(options)])
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    machine.process = child
    machine.state = 'on'
    this.#janitor.stdin.write(`pid ${child.pid}\n`)
    child.stdin.on('error', () => undefined) // it was killed while a clock jump was on its way
    const words: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => {
      words.push(line)
      if (words.length > 30) words.shift()
    })
    child.once('exit', (code, signal) => {
      if (machine.process !== child) return
      machine.process = undefined
      machine.state = 'off'
      if (!this.#closing) this.crashes.push(`${name} ended by itself (${signal ?? `code ${code}`}):\n${words.join('\n')}`)
    })
    const lines = createInterface({ input: child.stdout })
    const line = await new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve)
      child.once('exit', () => resolve(undefined))
    })
    if (line !== undefined) machine.ready = JSON.parse(line) as Ready
  }

  /** The first start of a machine, when nothing is broken yet. @throws when it is not usable in time */
  async startFirst(machine: Machine, joinString?: string): Promise<Ready> {
    const late = setTimeout(() => machine.process?.kill('SIGKILL'), firstReadyMs)
    await this.start(machine, joinString)
    clearTimeout(late)
    if (machine.ready === undefined) throw new Error(`${machine.name} did not start: ${this.crashes.join('\n')}`)
    return machine.ready
  }

  /** What a crash of the machine looks like to the others. Resolves when the process is gone. */
  async kill(machine: Machine): Promise<void> {
    const child = machine.process
    if (child === undefined) return
    machine.process = undefined
    machine.state = 'off'
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  pause(machine: Machine): void {
    if (machine.process?.kill('SIGSTOP') === true) machine.state = 'paused'
  }

  resume(machine: Machine): void {
    if (machine.state !== 'paused') return
    machine.process?.kill('SIGCONT')
    machine.state = 'on'
  }

  jumpClock(machine: Machine, jump: ClockJump): void {
    machine.process?.stdin?.write(`${JSON.stringify(jump)}\n`)
  }

  /** Kills every process, and removes network and directory. Any number of times. */
  async close(): Promise<void> {
    this.#closing = true
    await Promise.all(this.all.map((machine) => this.kill(machine)))
    await this.#network.close()
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
    if (this.#janitor.exitCode !== null) return
    const gone = once(this.#janitor, 'exit')
    this.#janitor.stdin.end()
    await gone
  }
}

function spawnJanitor() {
  const janitor = spawn(process.execPath, [janitorFile], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  janitor.stdin.on('error', () => undefined) // it is gone already: then there is nothing left to tell it
  return janitor
}
