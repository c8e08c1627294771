/** hashicorp's memberlist under its LAN settings, each member a process of its own: built from Debian's sources when they and Go are there. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../raft/cluster.js'
import type { Known } from './crash.js'
import { monotonicMs } from './monotonic.js'
import { wait } from './peace.js'

const gopath = '/usr/share/gocode'
const sources = join(gopath, 'src/github.com/hashicorp/memberlist')
/** The source beside this file's own: Go is not compiled by the build. */
const mainFile = fileURLToPath(new URL('../../../bench/overlay/memberlist/main.go', import.meta.url))
/** Between two kills: memberlist gossips of the dead for 30 s, but what it says is known by then. */
const restMs = 2000

/** Why memberlist cannot run here; undefined when it can. */
export function whyNoMemberlist(): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return 'no Go here (Debian, Ubuntu: apt-get install golang-go)'
  if (existsSync(sources)) return undefined
  return 'no sources of memberlist here (Debian, Ubuntu: apt-get install golang-github-hashicorp-memberlist-dev)'
}

interface Running {
  readonly name: string
  readonly child: ChildProcess
  address: string
  isComplete: boolean
}

interface Death {
  readonly observer: string
  readonly subject: string
  readonly atMs: number
}

class MemberlistGroup {
  readonly #program: string
  readonly #size: number
  readonly #running = new Map<string, Running>()
  readonly #deaths: Death[] = []
  #nextName = 1
  /** However the benchmark ends. */
  readonly #onExit = (): void => {
    for (const { child } of this.#running.values()) child.kill('SIGKILL')
  }

  constructor(program: string, size: number) {
    this.#program = program
    this.#size = size
    process.once('exit', this.#onExit)
  }

  async form(): Promise<void> {
    for (let number = 0; number < this.#size; number++) await this.#start()
    await this.#untilComplete()
  }

  /** Kills one; resolves when all others have noticed and another has come in its place. */
  async killOne(time: number): Promise<Known> {
    const all = [...this.#running.values()]
    const victim = all[(time * 37) % all.length] as Running
    const atMs = monotonicMs()
    victim.child.kill('SIGKILL')
    this.#running.delete(victim.name)
    const heardMs = new Map<string, number>()
    await until(`all know that ${victim.name} died`, () => {
      for (const { observer, subject, atMs: when } of this.#deaths)
        if (subject === victim.name && !heardMs.has(observer)) heardMs.set(observer, when - atMs)
      return heardMs.size >= this.#size - 1
    })
    await this.#start()
    await this.#untilComplete()
    await wait(restMs)
    return { firstMs: Math.min(...heardMs.values()), allMs: Math.max(...heardMs.values()) }
  }

  stop(): void {
    this.#onExit()
    process.off('exit', this.#onExit)
  }

  /** Under a new name each time: the old one cannot come back at another port. */
  async #start(): Promise<void> {
    const name = `m${this.#nextName++}`
    const [seed] = this.#running.values()
    const child = spawn(this.#program, [name, seed?.address ?? '-', String(this.#size)], { stdio: ['pipe', 'pipe', 'inherit'] })
    const running: Running = { name, child, address: '', isComplete: false }
    this.#running.set(name, running)
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`memberlist ${name} ended with ${code} before it listened`)))
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [what, ...words] = line.split(' ')
        if (what === 'listening') {
          running.address = words[0] ?? ''
          resolve()
        } else if (what === 'complete') running.isComplete = true
        else if (what === 'failed') {
          running.isComplete = false
          this.#deaths.push({ observer: name, subject: words[0] ?? '', atMs: Number(words[1]) })
        }
      })
    })
  }

  async #untilComplete(): Promise<void> {
    await until(`all ${this.#size} of memberlist`, () => [...this.#running.values()].every(({ isComplete }) => isComplete))
  }
}

/** Kills members of a group of this size, one after another. @throws when it cannot be built */
export async function killMemberlist(
  members: number,
  kills: number,
  note: (time: number, known: Known) => void,
): Promise<Known[]> {
  const dir = mkdtempSync(join(tmpdir(), 'skein-memberlist-'))
  const removeAll = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', removeAll)
  try {
    const program = join(dir, 'member')
    const env = { ...process.env, GO111MODULE: 'off', GOPATH: gopath, GOCACHE: join(dir, 'cache'), GOFLAGS: '' }
    const { status, stderr } = spawnSync('go', ['build', '-o', program, mainFile], { env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`memberlist could not be built: ${stderr}`)
    const group = new MemberlistGroup(program, members)
    try {
      await group.form()
      const all: Known[] = []
      for (let time = 1; time <= kills; time++) {
        all.push(await group.killOne(time))
        note(time, all.at(-1) as Known)
      }
      return all
    } finally {
      group.stop()
    }
  } finally {
    process.off('exit', removeAll)
    removeAll()
  }
}
