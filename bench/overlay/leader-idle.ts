/** What a leader spends while nothing happens: three managers and many workers, real peers over TLS, the leader's time read from the system. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { atMost, type Row, skipped, toTell } from '../report.js'
import type { IdleOrder } from './idle-peers.js'

const workersTotal = 100
/** A machine with two processors has no room for a hundred processes that do a handshake at once. */
const workersPerProcess = 10
const measureMs = 30_000
/** Until what founding and joining set off has run out. */
const settleMs = 15_000
const percentMax = 10
/** Ticks of /proc per second, on every Linux that Node runs on. */
const ticksPerSecond = 100

class PeerProcess {
  readonly child: ChildProcess
  #nextTag = 1

  constructor() {
    this.child = fork(fileURLToPath(new URL('./idle-peers.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }

  async ask(order: IdleOrder): Promise<unknown> {
    const tag = this.#nextTag++
    this.child.send({ tag, order })
    for (;;) {
      const [message] = (await once(this.child, 'message')) as [{ tag: number; answer?: unknown; error?: string }]
      if (message.tag !== tag) continue
      if (message.error !== undefined) throw new Error(`${order.type}: ${message.error}`)
      return message.answer
    }
  }

  /** Milliseconds of processor time so far. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8')
    // The name in parentheses may hold anything; what follows it counts from field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.disconnect()
    await ended
  }
}

/** Rows: the leader's, a follower's and a worker's share of one processor while the cluster idles. */
export async function leaderIdleRows(): Promise<Row[]> {
  const figure = `leader of 3 managers and ${workersTotal} workers idles, % of a core`
  if (process.platform !== 'linux') return [skipped(figure, `≤ ${percentMax} %`, 'processor time is read from /proc')]
  const dir = await mkdtemp(join(tmpdir(), 'skein-bench-'))
  const all: PeerProcess[] = []
  const begin = (): PeerProcess => {
    const begun = new PeerProcess()
    all.push(begun)
    return begun
  }
  try {
    const founder = begin()
    await founder.ask({ type: 'start', count: 1, dir: join(dir, 'manager-1'), join: undefined })
    const managers = [founder]
    for (const number of [2, 3]) {
      const manager = begin()
      const invitation = (await founder.ask({ type: 'invite', role: 'manager' })) as string
      await manager.ask({ type: 'start', count: 1, dir: join(dir, `manager-${number}`), join: invitation })
      managers.push(manager)
    }
    const invitation = (await founder.ask({ type: 'invite', role: 'worker' })) as string
    const workers = Array.from({ length: workersTotal / workersPerProcess }, begin)
    for (const worker of workers) await worker.ask({ type: 'start', count: workersPerProcess, dir: undefined, join: invitation })
    await founder.ask({ type: 'serve', replicas: workersTotal })
    await pause(settleMs)
    const leads = await Promise.all(managers.map((manager) => manager.ask({ type: 'leads' })))
    const before = all.map((each) => each.cpuMs())
    const beganMs = performance.now()
    await pause(measureMs)
    const tookMs = performance.now() - beganMs
    const percent = all.map((each, at) => ((each.cpuMs() - (before[at] as number)) / tookMs) * 100)
    const states = (await founder.ask({ type: 'nodes' })) as string[]
    const ready = states.filter((state) => state === 'ready').length
    if (ready !== managers.length + workersTotal) throw new Error(`only ${ready} nodes are ready`)
    const round = (value: number): number => Math.round(value * 100) / 100
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    const leading = percent.slice(0, managers.length).filter((_, at) => leads[at] === true)
    const following = percent.slice(0, managers.length).filter((_, at) => leads[at] !== true)
    return [
      atMost(figure, round(mean(leading)), percentMax, '%'),
      toTell('a follower beside it, % of a core', round(mean(following)), null, 'less'),
      toTell('one of its workers, % of a core', round(mean(percent.slice(managers.length)) / workersPerProcess), null, 'less'),
    ]
  } finally {
    await Promise.all(all.map((each) => each.end()))
    await rm(dir, { recursive: true, force: true })
  }
}
