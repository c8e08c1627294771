/** Networks fail where processes do not: who was only cut off keeps its tasks, and nothing is started twice. */
import { connect } from '../../peer/client.js'
import type { Fleet, Machine } from './fleet.js'
import { addressOf, clientUrl, clientUrlOf, fetchText, leaderOf, running, since, until } from './observe.js'
import type { DemoCluster, Stage } from './story.js'

/** How long a machine is cut off: enough for an election, less than a node may be silent before its tasks move. */
const silenceMs = 4_000
/** A restart that somebody decided on shows within this time after all is well again. */
const calmMs = 1_500
const askMs = 200

/** Cuts the leader off, then a worker, and heals; what ran must run on, untouched. */
export async function playSilences({ fleet, cluster, ms, check }: Stage): Promise<void> {
  const leader = await leaderOf(cluster, fleet)
  const others = await connect(clientUrl(fleet, leader))
  try {
    const before = await Replicas.now(others)
    await check(
      `${leader.name}, the leader, is cut off for ${silenceMs / 1_000} s: another leads, every replica answers`,
      async () => {
        const fromMs = performance.now()
        await fleet.silence(leader)
        try {
          const answering = before.answerUntil(fromMs + silenceMs)
          answering.catch(() => undefined) // it is awaited below, if we come so far
          await others.kv.put('behind-its-back', 'written')
          ms.newLeaderAfterSilence = since(fromMs)
          const next = await leaderOf(others, fleet)
          const why = await answering
          return next === leader ? `${leader.name} is cut off and still said to lead` : why
        } finally {
          await fleet.heal(leader)
        }
      },
    )
    await check(`${leader.name} follows again, and nothing was restarted`, async () => {
      const fromMs = performance.now()
      await follows(fleet, leader)
      await allReady(others)
      ms.settledAfterManagerHealed = since(fromMs)
      return await before.untouched(others, fleet)
    })
  } finally {
    await others[Symbol.asyncDispose]()
  }
  await silenceWorker({ fleet, cluster, ms, check })
}

async function silenceWorker({ fleet, cluster, ms, check }: Stage): Promise<void> {
  const before = await Replicas.now(cluster)
  const worker = fleet.machines.find(({ name, role }) => role === 'worker' && before.nodes.has(name))
  if (worker === undefined) throw new Error('no worker has a replica')
  await check(`${worker.name}, a worker, is cut off for ${silenceMs / 1_000} s: every replica answers`, async () => {
    const fromMs = performance.now()
    await fleet.silence(worker)
    try {
      return await before.answerUntil(fromMs + silenceMs)
    } finally {
      await fleet.heal(worker)
    }
  })
  await check(`${worker.name} is back, and nothing was moved or restarted`, async () => {
    const fromMs = performance.now()
    await allReady(cluster)
    ms.settledAfterWorkerHealed = since(fromMs)
    return await before.untouched(cluster, fleet)
  })
}

/** The replicas of one moment: every attempt there was, and where the running ones listen. */
class Replicas {
  /** Machines with a replica. */
  readonly nodes: ReadonlySet<string>
  readonly #attempts: readonly string[]
  readonly #urls: ReadonlyMap<string, string>

  private constructor(attempts: readonly string[], urls: ReadonlyMap<string, string>, nodes: ReadonlySet<string>) {
    this.#attempts = attempts
    this.#urls = urls
    this.nodes = nodes
  }

  static async now(cluster: DemoCluster): Promise<Replicas> {
    const { items } = await cluster.tasks.list({ service: 'demo_web' })
    const urls = new Map<string, string>()
    const live = items.filter(({ observed, desired }) => observed === 'running' && desired === 'running')
    for (const task of live) urls.set(task.id, await until(`${task.name} says where it listens`, () => addressOf(cluster, task)))
    return new Replicas(attemptsOf(items), urls, new Set(live.map(({ nodeName }) => nodeName ?? '')))
  }

  /** Asks each replica again and again. Says who did not answer as itself, or undefined. */
  async answerUntil(endMs: number): Promise<string | undefined> {
    while (performance.now() < endMs) {
      for (const [id, url] of this.#urls) {
        const { task } = JSON.parse(await fetchText(url)) as { readonly task: string }
        if (task !== id) return `${id} answered as ${task}`
      }
      await new Promise((resolve) => setTimeout(resolve, askMs))
    }
    return undefined
  }

  /** Says what was restarted, moved or stopped since, or undefined; takes the time that a late decision would need to show. */
  async untouched(cluster: DemoCluster, fleet: Fleet): Promise<string | undefined> {
    const gone = await this.answerUntil(performance.now() + calmMs)
    const tasks = await running(cluster, fleet, this.#urls.size)
    const moved = tasks.filter(({ id }) => !this.#urls.has(id)).map(({ name, nodeName }) => `${name} runs anew on ${nodeName}`)
    const attempts = attemptsOf((await cluster.tasks.list({ service: 'demo_web' })).items)
    const extra = attempts.filter((id) => !this.#attempts.includes(id)).map((id) => `attempt ${id} was needless`)
    return gone ?? ([...moved, ...extra].join(', ') || undefined)
  }
}

function attemptsOf(tasks: readonly { readonly id: string }[]): readonly string[] {
  return tasks.map(({ id }) => id)
}

/** Waits until the manager itself knows what was written while it was cut off. */
async function follows(fleet: Fleet, manager: Machine): Promise<void> {
  const own = await connect(clientUrlOf(manager, fleet))
  try {
    await until(`${manager.name} follows`, async () => (await own.kv.get('behind-its-back', { stale: true })) !== undefined)
  } finally {
    await own[Symbol.asyncDispose]()
  }
}

async function allReady(cluster: DemoCluster): Promise<void> {
  await until('all nodes ready', async () => (await cluster.nodes.list()).items.every(({ state }) => state === 'ready'))
}
