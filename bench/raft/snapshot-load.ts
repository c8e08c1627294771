/** Writes per second before and while a follower receives a large snapshot. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Member, until } from './cluster.js'
import type { Load, LoaderNews } from './loader.js'
import { SkeinCluster } from './skein-cluster.js'

export interface SnapshotLoad {
  readonly beforePerSecond: number
  readonly duringPerSecond: number
  /** From the first byte to the state being in force at the follower. */
  readonly tookMs: number
  readonly sizeBytes: number
  readonly leaderChanges: number
  /** Ticks that did not pass in time at the leader while the snapshot was on its way. */
  readonly ticksMissed: number
}

const clients = 64
/** The clients' warm-up, before and during: what is compared is compiled by then. */
const settleMs = 5000

/** A cluster of three of its own: one follower is down until the leader has nothing but a snapshot for it. */
export async function sendSnapshotUnderLoad(sizeBytes: number, seconds: number): Promise<SnapshotLoad> {
  const cluster = await SkeinCluster.start()
  try {
    const leader = await cluster.leader()
    await cluster.grow(leader, sizeBytes)
    const before = await underLoad(leader, () => perSecond(cluster, leader, () => pause(seconds * 1000)))
    const follower = cluster.members.find((member) => member !== leader) as Member
    cluster.kill(follower)
    // More than is kept behind a snapshot, so that nothing else can bring it back.
    await cluster.propose(leader, 256, 1500)
    await Promise.all(cluster.members.map((member) => cluster.snapshot(member)))
    const first = await cluster.status(leader)
    let tookMs = 0
    const during = await underLoad(leader, async () => {
      await cluster.relaunch(follower)
      await until('a snapshot on its way', async () => (await cluster.status(leader)).snapshotsUnderWay > 0)
      return await perSecond(cluster, leader, async () => {
        const beganMs = performance.now()
        await until('a snapshot installed', async () => (await installed(cluster, follower)) > 0, 300_000)
        tookMs = performance.now() - beganMs
      })
    })
    const last = await cluster.status(leader)
    return {
      beforePerSecond: before,
      duringPerSecond: during,
      tookMs,
      sizeBytes,
      leaderChanges: last.term - first.term,
      ticksMissed: last.ticksMissed - first.ticksMissed,
    }
  } finally {
    await cluster.stop()
  }
}

async function installed(cluster: SkeinCluster, { name }: Member): Promise<number> {
  const again = cluster.members.find((member) => member.name === name) as Member
  return (await cluster.status(again)).snapshotsInstalled
}

async function perSecond(cluster: SkeinCluster, leader: Member, during: () => Promise<void>): Promise<number> {
  const [before, beganMs] = [await cluster.status(leader), performance.now()]
  await during()
  const [after, endedMs] = [await cluster.status(leader), performance.now()]
  return ((after.appliedIndex - before.appliedIndex) / (endedMs - beganMs)) * 1000
}

/** Clients in a process of their own write for as long as `measure` takes. */
async function underLoad(leader: Member, measure: () => Promise<number>): Promise<number> {
  const loader = fork(fileURLToPath(new URL('./loader.js', import.meta.url)))
  try {
    await new Promise<void>((resolve, reject) => {
      loader.on('message', (news: LoaderNews) => news.type === 'counting' && resolve())
      loader.once('exit', (code) => reject(new Error(`the loader ended with ${code}`)))
      const { address } = leader
      loader.send({ rival: 'skein', address, kind: 'put', clients, warmUpMs: settleMs, countMs: 600_000 } satisfies Load)
    })
    return await measure()
  } finally {
    loader.kill()
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
