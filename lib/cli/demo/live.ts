import type { Node, Status, Task } from '../../api/types.js'
import { messageOf } from '../../base/errors.js'
import { Fleet, type Machine } from './fleet.js'
import { drawPicture, type Place, paint } from './screen.js'
import { type DemoCluster, deployWeb, foundCluster } from './story.js'

const refreshMs = 250
const askMs = 2_000
const eventsKept = 100
const service = 'demo_web'

/** What is known of the cluster at this moment; `cluster` is there once it is founded. */
interface Scene {
  cluster: DemoCluster | undefined
  status: Status | undefined
  nodes: readonly Node[]
  tasks: readonly Task[]
}

interface Stage {
  readonly fleet: Fleet
  readonly scene: Scene
  readonly ending: AbortController
  say(text: string): void
  draw(): void
}

/** The demo for people: a table that redraws on a terminal (one line per change elsewhere) and keys that break and mend things. */
export async function playLive(out: NodeJS.WriteStream, keyboard: NodeJS.ReadStream, keep: 'keep' | 'remove'): Promise<number> {
  const ending = new AbortController()
  const end = (): void => ending.abort()
  // The demo owns its process: it is the command line, not a host application.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end)
  const fleet = await Fleet.open(keep)
  const interactive = out.isTTY === true && keyboard.isTTY === true
  const stage = setStage(out, fleet, ending, interactive)
  const { say, draw, scene } = stage
  const redraw = setInterval(draw, refreshMs)
  try {
    if (interactive) {
      out.write('\u001b[2J')
      listenToKeys(keyboard, stage)
    }
    say('starting five processes')
    const founded = await beforeAbort(foundCluster(fleet, say), ending.signal)
    if (founded === undefined) return 130
    scene.cluster = founded.cluster
    await deployWeb(founded.cluster)
    say('web created, 5 replicas')
    await watchUntilEnded(founded.cluster, stage)
    return 0
  } catch (error) {
    say(`the demo failed: ${messageOf(error)}`)
    return 1
  } finally {
    clearInterval(redraw)
    if (interactive) {
      keyboard.setRawMode(false)
      keyboard.pause()
      out.write('\n')
    }
    out.write('stopping everything…\n')
    await scene.cluster?.[Symbol.asyncDispose]()
    await fleet.stop()
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, end)
    out.write(`stopped; ${keep === 'keep' ? `kept ${fleet.dir}` : 'nothing is left behind'}\n`)
  }
}

function setStage(out: NodeJS.WriteStream, fleet: Fleet, ending: AbortController, interactive: boolean): Stage {
  const startedMs = performance.now()
  const events: { readonly atMs: number; readonly text: string }[] = []
  const scene: Scene = { cluster: undefined, status: undefined, nodes: [], tasks: [] }
  const draw = (): void => {
    if (!interactive) return
    const { status, nodes, tasks } = scene
    const places = fleet.machines.map((machine) => placeOf(fleet, machine))
    const size = { width: out.columns ?? 100, height: out.rows ?? 30 }
    out.write(paint(drawPicture({ status, places, nodes, tasks, events, nowMs: Date.now(), ...size })))
  }
  const say = (text: string): void => {
    if (events.at(-1)?.text === text) return
    const atMs = performance.now() - startedMs
    events.push({ atMs, text })
    if (events.length > eventsKept) events.shift()
    if (interactive) draw()
    else out.write(`${(atMs / 1_000).toFixed(1).padStart(5)}s  ${text}\n`)
  }
  return { fleet, scene, ending, say, draw }
}

function placeOf(fleet: Fleet, machine: Machine): Place {
  const { name, role, ready } = machine
  const pid = machine.process?.pid
  if (pid !== undefined && fleet.alive(machine)) return { name, role, life: { state: 'running', pid } }
  return { name, role, life: { state: ready === undefined ? 'starting' : 'dead' } }
}

function listenToKeys(keyboard: NodeJS.ReadStream, { fleet, scene, say, ending }: Stage): void {
  const kill = async (machine: Machine): Promise<void> => {
    const pid = machine.process?.pid
    await fleet.kill(machine)
    say(`you killed ${machine.name} (SIGKILL ${pid})`)
  }
  // One after another: each begins from what the one before has made.
  let scaling: Promise<void> = Promise.resolve()
  const scaleBy = (cluster: DemoCluster, step: number): Promise<void> => {
    scaling = scaling.then(async () => {
      const { desired } = await cluster.services.get(service)
      const replicas = Math.max(0, desired + step)
      if (replicas === desired) return
      await cluster.services.scale(service, replicas)
      say(`scaled web to ${replicas}`)
    })
    const scaled = scaling
    scaling = scaling.catch(() => undefined) // told to whom it concerns; the next one is not to blame
    return scaled
  }
  const acts: Record<string, (cluster: DemoCluster) => Promise<void>> = {
    k: async () => {
      const leader = scene.nodes.find((node) => node.leader)
      const machine = fleet.machines.find(({ name }) => name === leader?.name)
      if (machine === undefined || !fleet.alive(machine)) say('nobody leads at this moment: wait for the election, or press r')
      else await kill(machine)
    },
    w: async () => {
      const worker = fleet.machines.find((machine) => machine.role === 'worker' && fleet.alive(machine))
      if (worker === undefined) say('no worker lives: press r')
      else await kill(worker)
    },
    r: async () => {
      const dead = fleet.machines.find((machine) => !fleet.alive(machine))
      if (dead === undefined) return say('all five live')
      await fleet.start(dead)
      say(`${dead.name} is back, from its directory`)
    },
    '+': (cluster) => scaleBy(cluster, 1),
    '-': (cluster) => scaleBy(cluster, -1),
  }
  keyboard.setRawMode(true)
  keyboard.setEncoding('utf8')
  // Typed fast or pasted, several keys arrive as one text.
  keyboard.on('data', (text: string) => {
    for (const key of text) {
      if (key === 'q' || key === '\u0003') return ending.abort()
      const act = acts[key]
      if (act === undefined || ending.signal.aborted) continue
      if (scene.cluster === undefined) say('a moment: the cluster is being founded')
      else act(scene.cluster).catch((error: unknown) => say(messageOf(error)))
    }
  })
  keyboard.resume()
}

async function watchUntilEnded(cluster: DemoCluster, { scene, say, ending: { signal } }: Stage): Promise<void> {
  let leader = ''
  let whole = ''
  while (!signal.aborted) {
    try {
      const call = { signal, deadlineMs: askMs }
      // First, and shown whatever becomes of the rest: it is the one answer that does not wait for a leader.
      const status = await cluster.clusterStatus(call)
      scene.status = status
      const { leaderName = leader, term } = status
      if (leaderName !== leader) say(`${leaderName} leads, term ${term}`)
      leader = leaderName
      const [nodes, tasks] = await Promise.all([cluster.nodes.list(call), cluster.tasks.list({ service }, call)])
      scene.nodes = nodes.items
      scene.tasks = tasks.items
      const { desired, running } = await cluster.services.get(service, call)
      if (`${running}/${desired}` !== whole) say(`web ${running} of ${desired} running`)
      whole = `${running}/${desired}`
    } catch (error) {
      if (!signal.aborted) say(`waiting: ${messageOf(error)}`)
    }
    await beforeAbort(new Promise((resolve) => setTimeout(resolve, refreshMs)), signal)
  }
}

/** undefined when the signal came first; the work is then left to fail when its peers are stopped. */
async function beforeAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  work.catch(() => undefined) // when the signal wins nobody waits for it
  if (signal.aborted) return undefined
  let onAbort = (): void => {}
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
