/** How long whole peers, each a process of its own, take to become a cluster: one manager that founds it, and workers that join by a token. */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { cpuMsOf } from '../raft/cluster.js'
import { type Row, toTell } from '../report.js'
import { memberEnv, nodeFlags } from './group.js'
import { PeerProcess } from './peer-process.js'

/** Between two questions to the manager, which has other things to do. */
const askEveryMs = 250
const withinMs = 600_000

/** Two for each processor: a start waits for the manager's signature and for its links as often as for a processor. */
const startsMax = 2 * availableParallelism()

/** Rows: until the manager holds all ready, from the start of its own process; and the processor time of all. */
export async function peersFormedRows(peers: number): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-bench-'))
  const all: PeerProcess[] = []
  const begin = (): PeerProcess => {
    const begun = new PeerProcess({ execArgv: nodeFlags, env: memberEnv })
    all.push(begun)
    return begun
  }
  try {
    const beganMs = performance.now()
    const manager = begin()
    await manager.ask({ type: 'start', count: 1, dir: join(dir, 'manager'), join: undefined })
    const invitation = (await manager.ask({ type: 'invite', role: 'worker' })) as string
    const starters = Array.from({ length: startsMax }, async () => {
      while (all.length < peers) await begin().ask({ type: 'start', count: 1, dir: undefined, join: invitation })
    })
    await Promise.all(starters)
    await untilReady(manager, peers, beganMs + withinMs)
    const tookMs = Math.round(performance.now() - beganMs)
    const cpuMs = cpuMsOf(all.map(({ child }) => child.pid as number))
    const name = `${peers} whole peers (a manager, ${peers - 1} workers that join by token), each a process`
    return [
      toTell(`${name}, from nothing → all ready at the manager, ms`, tookMs, null, 'less'),
      ...(cpuMs === undefined ? [] : [toTell(`${name}, processor time of all until then, ms`, cpuMs, null, 'less')]),
    ]
  } finally {
    await Promise.all(all.map((each) => each.end()))
    await rm(dir, { recursive: true, force: true })
  }
}

async function untilReady(manager: PeerProcess, peers: number, endMs: number): Promise<void> {
  for (;;) {
    const ready = await manager.readyNodes()
    if (ready === peers) return
    if (performance.now() > endMs) throw new Error(`only ${ready} of ${peers} peers are ready after ${withinMs / 1000} s`)
    await pause(askEveryMs)
  }
}
