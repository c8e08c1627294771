import type { Node, Task } from '../../api/types.js'
import { messageOf } from '../../base/errors.js'
import { Fleet, type Machine } from './fleet.js'
import { drawPicture, paint } from './screen.js'
import { type DemoCluster, deployWeb, foundCluster, leaderOf } from './story.js'

const refreshMs = 250
const service = 'demo_web'

/** The demo for people: a table that redraws on a terminal (one line per change elsewhere) and keys that break and mend things. */
export async function playLive(out: NodeJS.WriteStream, keyboard: NodeJS.ReadStream, keep: 'keep' | 'remove'): Promise<number> {
  const startedMs = performance.now()
  const events: { atMs: number; text: string }[] = []
  const interactive = out.isTTY === true && keyboard.isTTY === true
  const say = (text: string): void => {
    events.push({ atMs: performance.now() - startedMs, text })
    if (!interactive) out.write(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(5)}s  ${text}\n`)
  }
  const ending = new AbortController()
  const end = (): void => ending.abort()
  // The demo owns its process: it is the command line, not a host application.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end)
  const fleet = await Fleet.open(keep)
  let cluster: DemoCluster | undefined
  try {
    say('starting five processes')
    if (interactive) out.write('\u001b[2J\u001b[H')
    const founded = await raceAbort(foundCluster(fleet, say), ending.signal)
    if (founded === undefined) return 130
    cluster = founded.cluster
    await deployWeb(cluster)
    say('web created, 5 replicas')
    if (interactive) listenToKeys(keyboard, { fleet, cluster, say, end })
    await showUntilEnded({ fleet, cluster, say, out, interactive, signal: ending.signal, events, startedMs })
    return 0
  } catch (error) {
    say(`the demo failed: ${messageOf(error)}`)
    if (interactive) out.write(`\nthe demo failed: ${messageOf(error)}\n`)
    return 1
  } finally {
    if (interactive) {
      keyboard.setRawMode(false)
      keyboard.pause()
      out.write('\nstopping everything…\n')
    }
    await cluster?.[Symbol.asyncDispose]()
    await fleet.stop()
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, end)
    out.write(`stopped; ${keep === 'keep' ? `kept ${fleet.dir}` : 'nothing is left behind'}\n`)
  }
}

interface Hands {
  readonly fleet: Fleet
  readonly cluster: DemoCluster
  say(text: string): void
  end(): void
}

function listenToKeys(keyboard: NodeJS.ReadStream, { fleet, cluster, say, end }: Hands): void {
  let busy: Promise<void> = Promise.resolve()
  const acts: Record<string, () => Promise<void>> = {
    k: async () => killOne(await leaderOf(cluster, fleet)),
    w: async () => {
      const worker = fleet.machines.find((machine) => machine.role === 'worker' && fleet.alive(machine))
      if (worker === undefined) say('no worker lives; press r')
      else await killOne(worker)
    },
    r: async () => {
      const dead = fleet.machines.find((machine) => !fleet.alive(machine))
      if (dead === undefined) return say('all five live')
      await fleet.start(dead)
      say(`${dead.name} is back, from its directory`)
    },
    '+': () => scaleBy(1),
    '-': () => scaleBy(-1),
  }
  const killOne = async (machine: Machine): Promise<void> => {
    const pid = machine.process?.pid
    await fleet.kill(machine)
    say(`you killed ${machine.name} (SIGKILL ${pid})`)
  }
  const scaleBy = async (step: number): Promise<void> => {
    const { desired } = await cluster.services.get(service)
    await cluster.services.scale(service, Math.max(0, desired + step))
    say(`scaled web to ${Math.max(0, desired + step)}`)
  }
  keyboard.setRawMode(true)
  keyboard.setEncoding('utf8')
  keyboard.on('data', (key: string) => {
    if (key === 'q' || key === '\u0003') return end()
    const act = acts[key]
    if (act !== undefined) busy = busy.then(act).catch((error: unknown) => say(messageOf(error)))
  })
  keyboard.resume()
}

interface Show {
  readonly fleet: Fleet
  readonly cluster: DemoCluster
  readonly out: NodeJS.WriteStream
  readonly interactive: boolean
  readonly signal: AbortSignal
  readonly events: readonly { readonly atMs: number; readonly text: string }[]
  readonly startedMs: number
  say(text: string): void
}

async function showUntilEnded({ fleet, cluster, say, out, interactive, signal, events }: Show): Promise<void> {
  let nodes: readonly Node[] = []
  let tasks: readonly Task[] = []
  let leader = ''
  let whole = ''
  let status = await cluster.clusterStatus()
  while (!signal.aborted) {
    try {
      const call = { signal, deadlineMs: 2_000 }
      ;[{ items: nodes }, { items: tasks }, status] = [
        await cluster.nodes.list(call),
        await cluster.tasks.list({ service }, call),
        await cluster.clusterStatus(call),
      ]
      const leads = nodes.find((node) => node.leader)
      if (leads !== undefined && leads.name !== leader) say(`${leads.name} leads, term ${status.term}`)
      leader = leads?.name ?? leader
      const { desired, running } = await cluster.services.get(service, call)
      if (`${running}/${desired}` !== whole) say(`web ${running} of ${desired} running`)
      whole = `${running}/${desired}`
    } catch (error) {
      if (!signal.aborted) say(`waiting: ${messageOf(error)}`)
    }
    if (interactive) {
      const { cluster: id, term } = status
      const picture = {
        cluster: id,
        term,
        machines: fleet.machines,
        nodes,
        tasks,
        events,
        nowMs: Date.now(),
        width: out.columns ?? 120,
      }
      out.write(paint(drawPicture(picture)))
    }
    await pause(refreshMs, signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}

/** undefined when the signal came first; the work is then left to fail when its peers are stopped. */
async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  work.catch(() => undefined) // when the signal wins nobody waits for it
  return await Promise.race([
    work,
    new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true })),
  ])
}
