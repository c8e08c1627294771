/** What a leader spends while nothing happens: three managers and many workers, real peers over TLS, the leader's time read from the system. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { atMost, type Row, skipped, toTell } from '../report.js'
import { round } from './cells.js'
import type { SentBytes } from './idle-peers.js'
import { PeerProcess } from './peer-process.js'

const workersTotal = 100
/** A machine with two processors has no room for a hundred processes that do a handshake at once. */
const workersPerProcess = 10
const measureMs = 30_000
/** Until what founding and joining set off has run out. */
const settleMs = 15_000
const percentMax = 10

/** What one process and its peers took, on average of a second. */
interface Spent extends SentBytes {
  /** Of a core. */
  readonly percent: number
}

/** Rows: the leader's, a follower's and a worker's share of one processor while the cluster idles, and what leader and worker send for gossip and membership. */
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
    const spent = await spentIn(measureMs, all)
    const ready = await founder.readyNodes()
    if (ready !== managers.length + workersTotal) throw new Error(`only ${ready} nodes are ready`)
    const ofManagers = spent.slice(0, managers.length)
    const leader = meanOf(ofManagers.filter((_, at) => leads[at] === true))
    const follower = meanOf(ofManagers.filter((_, at) => leads[at] !== true))
    const worker = meanOf(spent.slice(managers.length), workersPerProcess)
    const sent = 'payload bytes a second'
    return [
      atMost(figure, round(leader.percent, 2), percentMax, '%'),
      told('a follower beside it, % of a core', round(follower.percent, 2)),
      told('one of its workers, % of a core', round(worker.percent, 2)),
      told(`sent by the idle leader for gossip, ${sent}`, round(leader.gossip, 1)),
      told(`sent by the idle leader for membership, ${sent}`, round(leader.membership, 1), healthOf(leader)),
      told(`sent by one of its workers for gossip, ${sent}`, round(worker.gossip, 1)),
      told(`sent by one of its workers for membership, ${sent}`, round(worker.membership, 1), healthOf(worker)),
    ]
  } finally {
    await Promise.all(all.map((each) => each.end()))
    await rm(dir, { recursive: true, force: true })
  }
}

async function spentIn(forMs: number, processes: readonly PeerProcess[]): Promise<Spent[]> {
  const sent = (): Promise<SentBytes[]> =>
    Promise.all(processes.map(async (each) => (await each.ask({ type: 'sent' })) as SentBytes))
  // Who is asked works for it: outside of what is measured of its processor.
  const sentBefore = await sent()
  const cpuMsBefore = processes.map((each) => each.cpuMs())
  const beganMs = performance.now()
  await pause(forMs)
  const seconds = (performance.now() - beganMs) / 1000
  const cpuMs = processes.map((each) => each.cpuMs())
  return (await sent()).map(({ gossip, membership, healthScore }, at): Spent => {
    const before = sentBefore[at] as SentBytes
    return {
      percent: (cpuMs[at]! - cpuMsBefore[at]!) / seconds / 10,
      gossip: (gossip - before.gossip) / seconds,
      membership: (membership - before.membership) / seconds,
      healthScore: Math.max(before.healthScore, healthScore),
    }
  })
}

/** Of one peer on average, its health that of the slowest; where each process has `peers` of them. */
function meanOf(spent: readonly Spent[], peers = 1): Spent {
  const mean = (of: (one: Spent) => number): number => spent.reduce((sum, one) => sum + of(one), 0) / spent.length / peers
  return {
    percent: mean(({ percent }) => percent),
    gossip: mean(({ gossip }) => gossip),
    membership: mean(({ membership }) => membership),
    healthScore: Math.max(...spent.map(({ healthScore }) => healthScore)),
  }
}

const healthOf = ({ healthScore }: Spent): string => `(worst health score before and after: ${healthScore})`

function told(figure: string, value: number, words = ''): Row {
  return { ...toTell(figure, value, null, 'less'), bar: `– ${words}`.trim() }
}
