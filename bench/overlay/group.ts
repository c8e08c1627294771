/** A group of members, each a process of its own on this machine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unreachable } from '../../lib/base/assert.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { loopback, type Network } from '../../test/chaos/network.js'
import { until } from '../raft/cluster.js'
import type { MemberCounts, MemberNews, MemberOrder, MemberSetup } from './member.js'
import { monotonicMs } from './monotonic.js'

const cluster = 'bench0000000'
/** One file with all it needs, as an app is deployed: by itself, or started from V8's code cache. @see docs/operations.md, Small machines */
const memberFiles = {
  none: fileURLToPath(new URL('./member.bundle.cjs', import.meta.url)),
  shared: fileURLToPath(new URL('./start.cjs', import.meta.url)),
}
/** Without the certificates that Node would read in each process before it begins: no link believes them. @see docs/operations.md, Small machines */
export const memberEnv = { ...process.env, NODE_EXTRA_CA_CERTS: '' }
/** A process for each member on a few processors: the helper threads of V8's collector would mostly wait for each other. @see docs/operations.md, Small machines */
export const nodeFlags: readonly string[] = ['--single-threaded-gc']
/** More at once and a start finds no processor; fewer, and those that are there gossip about each that comes. */
const startsMax = 32
/** Members that others come in through, as workers do through managers. */
const seedsMax = 3
/** Enough that all of what a member does as its group forms is done. */
const warmers = 8

export interface Member {
  readonly number: number
  readonly node: string
  readonly address: string
  readonly pid: number
}

/** A member's word on another. `atMs` is the monotonic clock of this machine. */
export interface Word {
  readonly type: 'failed' | 'suspect'
  readonly observer: string
  readonly subject: string
  readonly atMs: number
}

interface Running {
  readonly number: number
  readonly node: string
  readonly epoch: number
  readonly child: ChildProcess
  address: string
  isListening: boolean
  isComplete: boolean
}

export interface GroupOptions {
  readonly members: number
  /** Where they live, numbered from 0; default: this machine's loopback. */
  readonly network?: Network
  /** Processes that start at the same time. Default 32. */
  readonly startsMax?: number
  /** `none`: every member compiles what it runs. `shared` (default): one reads what another compiled, if one did. */
  readonly codeCache?: 'none' | 'shared'
}

export class MemberGroup {
  readonly size: number
  /** What was said of others since the start, in the order it was heard. */
  readonly words: Word[] = []
  /** When the last of all knew all, from the first process's start. */
  formedMs = Number.NaN
  readonly #authority: TestAuthority
  readonly #network: Network
  readonly #file: string
  readonly #running = new Map<number, Running>()
  #completedMs = 0
  /** What ended by itself, which nothing here may. */
  #fault: Error | undefined
  #nextTag = 1
  /** However the benchmark ends, also when one of them stands still and cannot notice. */
  readonly #onExit = (): void => {
    for (const { child } of this.#running.values()) child.kill('SIGKILL')
  }

  private constructor({ members, network = loopback, codeCache = 'shared' }: GroupOptions, authority: TestAuthority) {
    this.size = members
    this.#network = network
    this.#file = memberFiles[codeCache]
    this.#authority = authority
    process.once('exit', this.#onExit)
  }

  /** Starts all from nothing; resolves when every member knows all of them alive. */
  static async form(options: GroupOptions): Promise<MemberGroup> {
    const group = new MemberGroup(options, await TestAuthority.make(cluster))
    try {
      const beganMs = monotonicMs()
      const queue = Array.from({ length: options.members }, (_, number) => number)
      // One is there before anybody is told to come in through it.
      for (const number of queue.splice(0, 1)) await group.start(number)
      const starters = Array.from({ length: options.startsMax ?? startsMax }, async () => {
        for (let number = queue.shift(); number !== undefined; number = queue.shift()) await group.start(number)
      })
      await Promise.all(starters)
      await group.untilComplete()
      group.formedMs = group.#completedMs - beganMs
      return group
    } catch (error) {
      await group.stop()
      throw error
    }
  }

  /** Lets a small group write the code cache, if no process of this build did: those that come after start as on a machine where the app ran before. */
  static async warm(): Promise<void> {
    const isWarm = (): boolean => readdirSync(dirname(memberFiles.shared)).some((name) => name.endsWith('.cache'))
    if (isWarm()) return
    const group = await MemberGroup.form({ members: warmers })
    try {
      await until('a member has written the code cache', isWarm)
    } finally {
      await group.stop()
    }
  }

  get members(): readonly Member[] {
    return [...this.#running.values()].map(({ number, node, address, child }) => {
      return { number, node, address, pid: child.pid as number }
    })
  }

  /** Resolves when it listens. One that was killed comes back at its old address, one epoch on. */
  async start(number: number): Promise<void> {
    const former = this.#running.get(number)
    const node = `member${String(number).padStart(6, '0')}`
    const seeds = [...this.#running.values()]
      .filter((one) => one.isListening && one.number < seedsMax && one.number !== number)
      .map((one) => ({ node: one.node, address: one.address }))
    const epoch = (former?.epoch ?? 0) + 1
    const setup: MemberSetup = {
      node,
      cluster,
      epoch,
      listen: former?.address ?? this.#network.listen(number),
      key: this.#authority.keyString('worker', node),
      // Each through one of them, which is enough; the seeds through all that are there.
      seeds: number < seedsMax ? seeds : seeds.filter((_, at) => at === number % seeds.length),
      members: this.size,
    }
    const [file, args] = this.#network.command(number, process.execPath, [...nodeFlags, this.#file, JSON.stringify(setup)])
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: memberEnv })
    const running: Running = { number, node, epoch, child, address: setup.listen, isListening: false, isComplete: false }
    this.#running.set(number, running)
    await new Promise<void>((resolve, reject) => {
      child.on('message', (news: MemberNews) => {
        if (news.type === 'listening') {
          running.address = news.address
          running.isListening = true
          resolve()
        } else this.#heard(running, news)
      })
      child.once('exit', (code, signal) => {
        const fault = new Error(`member ${number} ended by itself with ${code ?? signal}`)
        if (signal !== 'SIGKILL') this.#fault ??= fault
        reject(fault)
      })
    })
  }

  /** Resolves when every member that runs knows all alive. */
  async untilComplete(withinMs = 180_000): Promise<void> {
    const isComplete = (): boolean => {
      if (this.#fault !== undefined) throw this.#fault
      return [...this.#running.values()].every((one) => one.isComplete)
    }
    await until(`all ${this.size} members know each other`, isComplete, withinMs)
  }

  signal({ number }: Member, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#running.get(number)?.child.kill(name)
  }

  async counts({ number }: Member): Promise<MemberCounts> {
    const { child } = this.#running.get(number) as Running
    const tag = this.#nextTag++
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error(`member ${number} ended`))
      const heard = (news: MemberNews): void => {
        if (news.type !== 'counted' || news.tag !== tag) return
        child.off('message', heard)
        child.off('exit', gone)
        resolve(news.counts)
      }
      child.on('message', heard)
      child.once('exit', gone)
      child.send({ type: 'count', tag } satisfies MemberOrder)
    })
  }

  async stop(): Promise<void> {
    const ends = [...this.#running.values()]
      .filter(({ child }) => child.exitCode === null && child.signalCode === null)
      .map(({ child }) => {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGKILL')
        return gone
      })
    await Promise.all(ends)
    process.off('exit', this.#onExit)
  }

  #heard(member: Running, news: MemberNews): void {
    // The last words of a process that was killed may come after its successor's first.
    if (this.#running.get(member.number) !== member) return
    switch (news.type) {
      case 'complete':
      case 'incomplete':
        member.isComplete = news.type === 'complete'
        this.#completedMs = Math.max(news.atMs, this.#completedMs)
        return
      case 'failed':
      case 'suspect':
        this.words.push({ type: news.type, observer: member.node, subject: news.subject, atMs: news.atMs })
        return
      case 'listening':
      case 'counted':
        return // whoever waits for these listens for itself
      default:
        unreachable(news)
    }
  }
}
