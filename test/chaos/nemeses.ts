import { setTimeout as sleep } from 'node:timers/promises'
import { below, pick, type Random, shuffle } from '../../lib/base/random.js'
import type { Machine, Machines } from './machines.js'
import type { Cut } from './network.js'

/** The kinds of trouble; all that can be had here are made at the same time. */
export const troubles = ['kill', 'pause', 'partition', 'clock'] as const
export type Trouble = (typeof troubles)[number]

export interface NemesisWorld {
  readonly machines: Machines
  readonly random: Random
  /** The machine that leads, if somebody answers. */
  leader(): Promise<Machine | undefined>
  say(words: string): void
  /** One more of it happened. */
  count(trouble: Trouble): void
}

/** Makes one kind of trouble, again and again, until the signal aborts; then nothing of it is left. */
export async function makeTrouble(trouble: Trouble, world: NemesisWorld, signal: AbortSignal): Promise<void> {
  const act = acts[trouble]
  while (!signal.aborted) {
    await pause(world, 300, 2_500, signal)
    if (!signal.aborted) await act(world, signal)
  }
}

/** Waits between so many milliseconds, or until the signal aborts. */
async function pause({ random }: NemesisWorld, fromMs: number, toMs: number, signal: AbortSignal): Promise<void> {
  // An abort only ends the wait: what was done is then undone as it would have been.
  await sleep(fromMs + below(random, toMs - fromMs), undefined, { signal }).catch(() => undefined)
}

const acts: Readonly<Record<Trouble, (world: NemesisWorld, signal: AbortSignal) => Promise<void>>> = {
  /** Mostly one machine, often the leader; sometimes two, sometimes all at once. They come back from their directories. */
  async kill(world, signal) {
    const { machines, random, say, count } = world
    const chance = random()
    const on = machines.all.filter(({ state }) => state === 'on')
    const victims = chance < 0.7 ? await oneOf(world, on) : shuffle(random, on).slice(0, chance < 0.85 ? 2 : on.length)
    if (victims.length === 0) return
    say(`kill ${names(victims)}`)
    await Promise.all(victims.map((victim) => machines.kill(victim)))
    count('kill')
    await pause(world, 100, 2_500, signal)
    say(`start ${names(victims)}`)
    for (const victim of victims) void machines.start(victim)
  },

  async pause(world, signal) {
    const { machines, random, say, count } = world
    const on = machines.all.filter(({ state }) => state === 'on')
    const victims = random() < 0.8 ? await oneOf(world, on) : shuffle(random, on).slice(0, 2)
    if (victims.length === 0) return
    say(`pause ${names(victims)}`)
    for (const victim of victims) machines.pause(victim)
    count('pause')
    await pause(world, 200, 4_000, signal)
    say(`go on ${names(victims)}`)
    for (const victim of victims) machines.resume(victim)
  },

  async partition(world, signal) {
    const { machines, random, say, count } = world
    const { cut } = machines.network
    if (cut === undefined) return
    const [words, cuts] = partitionOf(machines.all, random, await world.leader())
    say(words)
    await cut(cuts)
    count('partition')
    await pause(world, 500, 5_000, signal)
    say('heal')
    await cut([])
  },

  async clock(world) {
    const { machines, random, say, count } = world
    const [victim] = await oneOf(
      world,
      machines.all.filter(({ state }) => state === 'on'),
    )
    if (victim === undefined) return
    const jump =
      random() < 0.7
        ? ({ clock: 'wall', byMs: Math.round((random() - 0.5) * 2 * 10 ** (2 + below(random, 6))) } as const)
        : ({ clock: 'monotonic', byMs: 10 + below(random, 10_000) } as const)
    say(`${jump.clock} clock of ${victim.name} jumps by ${jump.byMs} ms`)
    machines.jumpClock(victim, jump)
    count('clock')
  },
}

/** The leader every other time, if it is among them, else anyone. */
async function oneOf(world: NemesisWorld, machines: readonly Machine[]): Promise<readonly Machine[]> {
  const leader = world.random() < 0.5 ? await world.leader() : undefined
  const victim = machines.find((machine) => machine === leader) ?? pick(world.random, machines)
  // Asking took a moment, in which another trouble may have met it.
  return victim === undefined || victim.state !== 'on' ? [] : [victim]
}

function partitionOf(
  machines: readonly Machine[],
  random: Random,
  leader: Machine | undefined,
): readonly [string, readonly Cut[]] {
  const order = shuffle(random, machines)
  const one = (random() < 0.5 ? leader : undefined) ?? (order[0] as Machine)
  const others = order.filter((machine) => machine !== one)
  switch (below(random, 5)) {
    case 0:
      return [`${one.name} is alone`, both([one], others)]
    case 1:
      return [`${one.name} is not heard by the others`, oneWay([one], others)]
    case 2:
      return [`${one.name} does not hear the others`, oneWay(others, [one])]
    case 3: {
      const [few, many] = [[one, ...others.slice(0, 1)], others.slice(1)]
      return [`${names(few)} and ${names(many)} are apart`, both(few, many)]
    }
    default:
      // A ring: everybody has a majority around it, and no two the same.
      return [
        `each hears only its neighbours: ${names(order)}`,
        order.flatMap((a, i) => order.flatMap((b, j) => (isFar(i, j, order.length) ? [[a.number, b.number] as const] : []))),
      ]
  }
}

function isFar(i: number, j: number, around: number): boolean {
  const distance = Math.abs(i - j)
  return Math.min(distance, around - distance) > 1
}

function oneWay(from: readonly Machine[], to: readonly Machine[]): Cut[] {
  return from.flatMap((a) => to.map((b) => [a.number, b.number] as const))
}

function both(some: readonly Machine[], others: readonly Machine[]): Cut[] {
  return [...oneWay(some, others), ...oneWay(others, some)]
}

function names(machines: readonly Machine[]): string {
  return machines.map(({ name }) => name).join(', ')
}
