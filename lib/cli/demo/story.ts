import type { Cluster } from '../../api/types.js'
import { messageOf } from '../../base/errors.js'
import { loadStack } from '../../compose/index.js'
import { connect } from '../../peer/client.js'
import { packageFile } from '../package-files.js'
import { Fleet } from './fleet.js'
import { allAnswer, clientUrl, clientUrlOf, leaderOf, running, since, until } from './observe.js'
import { playSilences } from './silences.js'

export type DemoCluster = Cluster & AsyncDisposable

/** Milliseconds from the event named to the state named; undefined while it has not been reached. */
export interface StoryTimes {
  leader?: number
  allRunning?: number
  newLeaderAfterKill?: number
  healedAfterLeaderKill?: number
  rejoined?: number
  newLeaderAfterSilence?: number
  settledAfterManagerHealed?: number
  settledAfterWorkerHealed?: number
  healedAfterWorkerKill?: number
  scaledUp?: number
  scaledDown?: number
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly why: string
}

export interface StoryResult {
  readonly checks: readonly Check[]
  readonly ms: StoryTimes
}

export const stackFile = packageFile('examples', 'web', 'stack.yaml')

/** Thrown by a check that did not hold: the story ends there, after cleaning up. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed'
}

/** Starts 3 managers and 2 workers; resolves when all five nodes are ready and three of them vote. */
export async function foundCluster(
  fleet: Fleet,
  say: (text: string) => void,
): Promise<{ cluster: DemoCluster; leaderMs: number }> {
  const first = fleet.add('m1', 'manager')
  const others = [fleet.add('m2', 'manager'), fleet.add('m3', 'manager'), fleet.add('w1', 'worker'), fleet.add('w2', 'worker')]
  const { invite } = await fleet.start(first)
  if (invite === undefined) throw new Error('m1 gave no join strings')
  const leaderMs = performance.now()
  say('m1 founded the cluster and leads')
  await Promise.all(others.map((machine) => fleet.start(machine, invite[machine.role])))
  const cluster = await connect(clientUrl(fleet))
  await until('five nodes ready, three of them voters', async () => {
    const { items } = await cluster.nodes.list()
    const voters = items.filter(({ raft }) => raft === 'voter' || raft === 'leader')
    return items.length === 5 && items.every(({ state }) => state === 'ready') && voters.length === 3
  })
  say('m2, m3 joined as voters, w1, w2 as workers')
  return { cluster, leaderMs }
}

export async function deployWeb(cluster: Cluster): Promise<void> {
  const { services } = await loadStack(stackFile, { stack: 'demo' })
  for (const spec of services) await cluster.services.create(spec)
}

/** Plays the whole story once and checks every step of it. Told to stop, it fails the step it is at, and cleans up as always. */
export async function playStory(
  say: (text: string) => void,
  keep: 'keep' | 'remove',
  signal: AbortSignal = new AbortController().signal,
): Promise<StoryResult> {
  const checks: Check[] = []
  const ms: StoryTimes = {}
  const interrupted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  interrupted.catch(() => undefined) // it may come between two checks; the next one asks
  const check = async (name: string, claim: () => Promise<string | undefined>): Promise<void> => {
    let why: string | undefined
    try {
      signal.throwIfAborted()
      why = await Promise.race([claim(), interrupted])
    } catch (error) {
      why = messageOf(error)
    }
    checks.push({ name, ok: why === undefined, why: why ?? '' })
    say(why === undefined ? `✔ ${name}` : `✖ ${name}: ${why}`)
    if (why !== undefined) throw new CheckFailed(name)
  }
  // Since this process began, as a person waits for it: loading the code counts.
  const startedMs = 0
  const fleet = await Fleet.open(keep)
  let cluster: DemoCluster | undefined
  try {
    await check('a cluster of five is founded', async () => {
      const founded = await foundCluster(fleet, say)
      cluster = founded.cluster
      ms.leader = Math.round(founded.leaderMs)
      return undefined
    })
    if (cluster !== undefined) await playOn({ fleet, cluster, ms, check, startedMs })
  } catch (error) {
    if (!(error instanceof CheckFailed)) checks.push({ name: 'the story plays to its end', ok: false, why: messageOf(error) })
  } finally {
    await cluster?.[Symbol.asyncDispose]()
    fleet.noteProcesses()
    await fleet.stop()
  }
  const left = fleet.leftOver()
  checks.push({
    name: 'nothing is left behind',
    ok: left.length === 0,
    why: left.map(({ pid }) => `process ${pid} still runs`).join(', '),
  })
  return { checks, ms }
}

/** What every scene of the story plays on. */
export interface Stage {
  readonly fleet: Fleet
  readonly cluster: DemoCluster
  readonly ms: StoryTimes
  /** Says and remembers whether it holds: a claim says why not. @throws {CheckFailed} */
  check(name: string, claim: () => Promise<string | undefined>): Promise<void>
}

async function playOn({ fleet, cluster, ms, startedMs, check }: Stage & { readonly startedMs: number }): Promise<void> {
  await check('5 of 5 are running and each answers over HTTP', async () => {
    await deployWeb(cluster)
    await running(cluster, fleet, 5)
    ms.allRunning = since(startedMs)
    return await allAnswer(cluster)
  })
  const acknowledged = new Map<string, string>()
  const write = async (key: string): Promise<void> => {
    await cluster.kv.put(key, key)
    acknowledged.set(key, key)
  }
  await write('before-the-kill')

  const oldLeader = await leaderOf(cluster, fleet)
  const oldTerm = (await cluster.clusterStatus()).term
  let killedMs = performance.now()
  await check('a new leader takes writes after the leader was killed', async () => {
    await fleet.kill(oldLeader)
    killedMs = performance.now()
    await write('after-the-kill')
    ms.newLeaderAfterKill = since(killedMs)
    const leader = await leaderOf(cluster, fleet)
    const { term } = await cluster.clusterStatus()
    if (leader === oldLeader) return `${leader.name} is dead and still said to lead`
    return term > oldTerm ? undefined : `the term did not rise: ${oldTerm} → ${term}`
  })
  await check('5 of 5 run on live nodes again', async () => {
    await running(cluster, fleet, 5)
    ms.healedAfterLeaderKill = since(killedMs)
    return await allAnswer(cluster)
  })
  await check('the killed manager comes back from its directory and catches up', async () => {
    const backMs = performance.now()
    const { id } = await fleet.start(oldLeader)
    const own = await connect(clientUrlOf(oldLeader, fleet))
    try {
      const { commitIndex } = await cluster.clusterStatus()
      await until(`${oldLeader.name} has applied ${commitIndex}`, async () => {
        const status = await own.clusterStatus()
        const { items } = await cluster.nodes.list()
        const node = items.find((each) => each.id === id)
        return status.appliedIndex >= commitIndex && node?.state === 'ready' && node.raft === 'voter'
      })
      ms.rejoined = since(backMs)
      for (const [key, value] of acknowledged) {
        const found = await own.kv.get(key, { stale: true })
        if (found === undefined || Buffer.from(found.value).toString() !== value)
          return `${key} was acknowledged and is not there`
      }
      return undefined
    } finally {
      await own[Symbol.asyncDispose]()
    }
  })
  await playSilences({ fleet, cluster, ms, check })
  await check('5 of 5 run on live nodes after a worker was killed', async () => {
    await fleet.kill(fleet.machine('w1'))
    const workerKilledMs = performance.now()
    await running(cluster, fleet, 5)
    ms.healedAfterWorkerKill = since(workerKilledMs)
    return await allAnswer(cluster)
  })
  await check('scaled to 8', async () => {
    const fromMs = performance.now()
    await cluster.services.scale('demo_web', 8)
    await running(cluster, fleet, 8)
    ms.scaledUp = since(fromMs)
    return await allAnswer(cluster)
  })
  await check('scaled back to 3', async () => {
    const fromMs = performance.now()
    await cluster.services.scale('demo_web', 3)
    await running(cluster, fleet, 3)
    ms.scaledDown = since(fromMs)
    return await allAnswer(cluster)
  })
  await check('every acknowledged write is there', async () => {
    for (const key of acknowledged.keys()) {
      if ((await cluster.kv.get(key)) === undefined) return `${key} was acknowledged and is gone`
    }
    return undefined
  })
}
