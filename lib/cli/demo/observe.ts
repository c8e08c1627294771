/** What the demo sees of its cluster, as a client of it sees it. */
import { get } from 'node:http'
import type { Cluster, Node, Task } from '../../api/types.js'
import { messageOf } from '../../base/errors.js'
import type { Fleet, Machine } from './fleet.js'

/** Polling period while waiting; every wait has a bound of its own. */
const pollMs = 25
const waitMs = 30_000

/** All managers but one in one URL, so that the client outlives any of them. */
export function clientUrl(fleet: Fleet, without?: Machine): string {
  const managers = fleet.machines.filter(({ role, ready }) => role === 'manager' && ready !== undefined)
  const token = /^skein:\/\/([^@]+)@/.exec(managers[0]?.ready?.invite?.manager ?? '')?.[1]
  return `skein://${token}@${managers
    .filter((machine) => machine !== without)
    .map(({ ready }) => ready?.address)
    .join(',')}`
}

export function clientUrlOf(machine: Machine, fleet: Fleet): string {
  return clientUrl(fleet).replace(/@.*$/, `@${machine.ready?.address}`)
}

export async function leaderOf(cluster: Cluster, fleet: Fleet): Promise<Machine> {
  let leader: Node | undefined
  await until('a leader', async () => {
    leader = (await cluster.nodes.list()).items.find((node) => node.leader)
    return leader !== undefined
  })
  return fleet.machine(leader?.name ?? '')
}

/** Waits until exactly `count` tasks are wished and running, all on machines whose process lives, and no other still runs there. */
export async function running(cluster: Cluster, fleet: Fleet, count: number): Promise<readonly Task[]> {
  let tasks: readonly Task[] = []
  await until(`${count} of ${count} running on live nodes`, async () => {
    const { items } = await cluster.tasks.list({ service: 'demo_web' })
    const live = new Set(fleet.machines.filter((machine) => fleet.alive(machine)).map(({ name }) => name))
    tasks = items.filter((task) => task.observed === 'running' && live.has(task.nodeName ?? ''))
    const wished = tasks.filter(({ desired }) => desired === 'running')
    return wished.length === count && tasks.length === count && new Set(wished.map(({ slot }) => slot)).size === count
  })
  return tasks
}

/** Asks every running replica over HTTP who it is. Says what is wrong, or undefined. */
export async function allAnswer(cluster: Cluster): Promise<string | undefined> {
  const { items } = await cluster.tasks.list({ service: 'demo_web' })
  const tasks = items.filter((task) => task.observed === 'running' && task.desired === 'running' && !task.away)
  const answers = await Promise.all(
    tasks.map(async (task) => {
      const url = await until(`${task.name} says where it listens`, () => addressOf(cluster, task))
      const { task: said } = JSON.parse(await fetchText(url)) as { task: string }
      return said === task.id ? undefined : `${task.id} answered as ${said}`
    }),
  )
  return answers.find((answer) => answer !== undefined)
}

export async function addressOf(cluster: Cluster, task: Task): Promise<string | undefined> {
  for await (const { text } of cluster.tasks.logs(task.id)) {
    const found = /listening on (http:\S+)/.exec(text)
    if (found?.[1] !== undefined) return found[1]
  }
  return undefined
}

export function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 5_000 }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve(Buffer.concat(parts).toString()))
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`${url} did not answer in 5 s`)))
    request.on('error', reject)
  })
}

/** Asks again until the answer is truthy. @throws when it stays falsy for 30 s, with the last error if there was one */
export async function until<T>(what: string, ask: () => Promise<T>): Promise<NonNullable<T>> {
  const endMs = performance.now() + waitMs
  for (;;) {
    let last: unknown
    try {
      const answer = await ask()
      if (answer) return answer
    } catch (error) {
      last = error
    }
    if (performance.now() >= endMs)
      throw new Error(`not within ${waitMs / 1_000} s: ${what}${last === undefined ? '' : ` (${messageOf(last)})`}`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

export function since(fromMs: number): number {
  return Math.round(performance.now() - fromMs)
}
