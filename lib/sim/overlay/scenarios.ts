import { seededRandom, shuffle } from '../../base/random.js'
import type { SwimOptions } from '../../overlay/swim/index.js'
import type { Conditions } from './conditions.js'
import { OverlaySim } from './overlay-sim.js'

/** What every scenario can be told. */
export interface ScenarioOptions {
  readonly members: number
  readonly seed: number
  readonly conditions?: Partial<Conditions>
  readonly swim?: SwimOptions
}

/** When a death was first and last found out, from its moment; undefined when it was not. */
export interface Detection {
  readonly firstMs: number | undefined
  readonly allMs: number | undefined
  /** When a given one of those that live knew of the first: a leader, which acts on it. */
  readonly leaderMs: number | undefined
}

/** One or more members die at once, as a process (its machine refuses for it) or with their machines. */
export function detectDeath(options: ScenarioOptions, how: 'process' | 'machine', part = 0): Detection {
  const sim = new OverlaySim(options)
  const random = seededRandom(options.seed + 7)
  const count = Math.max(1, Math.round(part * options.members))
  sim.run(1500 + random() * 1000)
  const victims = new Set(
    shuffle(
      random,
      Array.from({ length: options.members }, (_, index) => index),
    ).slice(0, count),
  )
  const startMs = sim.nowMs
  const leader = Array.from({ length: options.members }, (_, index) => index).find((index) => !victims.has(index))
  let [firstMs, leaderMs]: (number | undefined)[] = []
  let open = count * (options.members - count)
  sim.watch(({ atMs, observer, subject, event }) => {
    if (event.type !== 'failed' || victims.has(observer) || !victims.has(subject)) return
    firstMs ??= atMs - startMs
    if (observer === leader) leaderMs ??= atMs - startMs
    open--
  })
  for (const victim of victims) {
    if (how === 'process') sim.kill(victim)
    else sim.powerOff(victim)
  }
  const allMs = sim.runUntil(() => open === 0, 120_000)
  return { firstMs, allMs, leaderMs }
}

/** How long one member's news takes to 99 % and to all. */
export function broadcast(options: ScenarioOptions): { readonly mostMs: number | undefined; readonly allMs: number | undefined } {
  const sim = new OverlaySim(options)
  sim.run(1500)
  const startMs = sim.nowMs
  const others = options.members - 1
  const heard = new Set<number>()
  let mostMs: number | undefined
  sim.watch(({ atMs, observer, subject, event }) => {
    if (event.type !== 'updated' || subject !== 0) return
    heard.add(observer)
    if (heard.size >= Math.ceil(others * 0.99)) mostMs ??= atMs - startMs
  })
  sim.command(0, (core, nowMs) => core.update(nowMs, { meta: Buffer.from('changed') }))
  return { allMs: sim.runUntil(() => heard.size === others, 60_000), mostMs }
}

/** What went on among members that all live. */
export interface Peace {
  /** One live member held dead by another, counted each time. */
  readonly falseDead: number
  readonly suspicions: number
  readonly nodeHours: number
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
  /** CPU of this process for one member's second, in milliseconds: cores and simulator together. */
  readonly cpuMsPerSecond: number
}

/** Runs for `durationMs` while `disturb` does what it likes, and counts accusations of the living. */
export function keepPeace(
  options: ScenarioOptions,
  durationMs: number,
  disturb: (sim: OverlaySim) => void = () => undefined,
): Peace {
  const sim = new OverlaySim(options)
  sim.run(3000)
  let [falseDead, suspicions] = [0, 0]
  sim.watch(({ event, observer, subject }) => {
    if (sim.phase(subject) !== 'up' || sim.phase(observer) !== 'up') return
    if (event.type === 'failed') falseDead++
    if (event.type === 'suspect' && event.member.accusations.some(({ by }) => by === sim.idOf(observer))) suspicions++
  })
  const before = sim.sent
  const cpu = process.cpuUsage()
  disturb(sim)
  sim.run(durationMs)
  const { user, system } = process.cpuUsage(cpu)
  const nodeSeconds = (options.members * durationMs) / 1000
  return {
    falseDead,
    suspicions,
    nodeHours: nodeSeconds / 3600,
    packetsPerSecond: (sim.sent.packets - before.packets) / nodeSeconds,
    bytesPerSecond: (sim.sent.bytes - before.bytes) / nodeSeconds,
    cpuMsPerSecond: (user + system) / 1000 / nodeSeconds,
  }
}

/** `count` members stop and go on, over and over: stopped for `pausedMs`, awake for `awakeMs`. */
export function pauseInTurns(count: number, pausedMs: number, awakeMs: number): (sim: OverlaySim) => void {
  return (sim) => {
    for (let index = 0; index < count; index++) {
      const again = (): void => {
        sim.pause(index, pausedMs)
        sim.after(pausedMs + awakeMs, again)
      }
      sim.after(index * 37, again)
    }
  }
}

/** `count` members stand still over and over, each time for as long as chance says, and go on for `awakeMs` between. */
export function stallAtRandom(
  count: number,
  [leastMs, mostMs]: readonly [number, number],
  awakeMs: number,
): (sim: OverlaySim) => void {
  return (sim) => {
    const random = seededRandom(count)
    for (let index = 0; index < count; index++) {
      const again = (): void => {
        const stalledMs = leastMs + random() * (mostMs - leastMs)
        sim.pause(index, stalledMs)
        sim.after(stalledMs + awakeMs, again)
      }
      sim.after(random() * awakeMs, again)
    }
  }
}

/** Two halves are apart for `apartMs`; how long after they meet again until all hold the same of all. */
export function healPartition(options: ScenarioOptions, apartMs: number): number | undefined {
  const sim = new OverlaySim(options)
  sim.run(2000)
  const sides = new Map(Array.from({ length: options.members }, (_, index) => [index, index % 2]))
  sim.network.split(sides)
  sim.run(apartMs)
  sim.network.heal()
  return sim.runUntil(() => sim.isConverged, 120_000, 50)
}

/** Two halves that have long held each other dead meet again; how long until all hold the same of all. */
export function meetAgain(options: ScenarioOptions): number | undefined {
  const sim = new OverlaySim({ ...options, begin: 'apart' })
  sim.run(2000)
  sim.network.heal()
  return sim.runUntil(() => sim.isConverged, 120_000, 50)
}

/** One process starts again under its id; how long until all have taken its new epoch. */
export function restartOne(options: ScenarioOptions): number | undefined {
  const sim = new OverlaySim(options)
  sim.run(2500)
  const [victim, id] = [options.members >> 1, sim.idOf(options.members >> 1)]
  sim.kill(victim)
  sim.run(200)
  sim.restart(victim)
  const all = sim.live()
  return sim.runUntil(
    () => all.every((index) => sim.core(index).record(id)?.epoch === 2 && sim.core(index).record(id)?.state === 'alive'),
    60_000,
  )
}

/** All processes start again within `spreadMs` from what they kept; how long after the last until all hold the same of all. */
export function restartAll(options: ScenarioOptions, spreadMs: number): number | undefined {
  const sim = new OverlaySim(options)
  sim.run(2500)
  const random = seededRandom(options.seed + 13)
  for (const index of sim.live()) sim.kill(index)
  sim.run(100)
  for (let index = 0; index < options.members; index++) sim.after(random() * spreadMs, () => sim.restart(index))
  sim.run(spreadMs)
  return sim.runUntil(() => sim.isConverged, 120_000, 50)
}

/** Members that know one seed each come in within `spreadMs`; how long after the last until all hold the same of all. */
export function joinAll(options: ScenarioOptions, spreadMs: number): number | undefined {
  const sim = new OverlaySim({ ...options, begin: 'cold' })
  for (let index = 1; index < options.members; index++)
    sim.after((spreadMs * index) / options.members, () => sim.connect(index, index % Math.min(3, index)))
  sim.run(spreadMs)
  return sim.runUntil(() => sim.isConverged, 120_000, 50)
}
