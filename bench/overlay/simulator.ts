/** The table of targets in the simulator: virtual time, 0.5–1.5 ms between members. */
import type { Peace } from '../../lib/sim/overlay/index.js'
import {
  broadcast,
  detectDeath,
  healPartition,
  joinAll,
  keepPeace,
  pauseInTurns,
  restartAll,
  restartOne,
} from '../../lib/sim/overlay/index.js'
import { atMost, median, type Row } from '../report.js'
import type { Arguments } from './arguments.js'

type Size = 3 | 100 | 1000 | 10_000
type BySize = Readonly<Partial<Record<Size, number>>>

/** One figure by size of the group: its bars in milliseconds, memberlist's milliseconds, and how it is measured. */
interface Figure {
  readonly name: string
  readonly bars: BySize
  readonly memberlist?: BySize
  readonly seeds?: BySize
  measure(members: number, seed: number): number | undefined
}

const firstOf = { 3: 6000, 100: 9970, 1000: 14_500, 10000: 18_900 }
const allOf = { 3: 6000, 100: 10_380, 1000: 15_100, 10000: 19_800 }
const few = { 1000: 1, 100: 5 }

const figures: readonly Figure[] = [
  {
    name: 'T1 process killed, first knows',
    bars: { 3: 300, 100: 500, 1000: 500, 10000: 500 },
    memberlist: firstOf,
    measure: (members, seed) => detectDeath({ members, seed }, 'process').firstMs,
  },
  {
    name: 'T2 process killed, all know',
    bars: { 3: 500, 100: 1000, 1000: 1500, 10000: 2000 },
    memberlist: allOf,
    measure: (members, seed) => detectDeath({ members, seed }, 'process').allMs,
  },
  {
    name: 'T3 machine lost, first knows',
    bars: { 3: 4000, 100: 6000, 1000: 9000, 10000: 11_000 },
    memberlist: firstOf,
    measure: (members, seed) => detectDeath({ members, seed }, 'machine').firstMs,
  },
  {
    name: 'T4 machine lost, all know',
    bars: { 3: 4200, 100: 6500, 1000: 9600, 10000: 12_000 },
    memberlist: allOf,
    measure: (members, seed) => detectDeath({ members, seed }, 'machine').allMs,
  },
  {
    name: 'T5 a fifth of all machines lost, all know',
    bars: { 100: 11_000, 1000: 17_000 },
    memberlist: { 100: 15_500, 1000: 21_000 },
    seeds: few,
    measure: (members, seed) => detectDeath({ members, seed }, 'machine', 0.2).allMs,
  },
  {
    name: 'T6 news known to all',
    bars: { 3: 200, 100: 900, 1000: 1100, 10000: 1600 },
    measure: (members, seed) => broadcast({ members, seed }).allMs,
  },
  {
    name: 'T7 news known to all at 20 % loss',
    bars: { 3: 1000, 100: 1300, 1000: 1300, 10000: 1800 },
    measure: (members, seed) => broadcast({ members, seed, conditions: { lossRate: 0.2 } }).allMs,
  },
  {
    name: 'T14 halves one again after a minute apart',
    bars: { 3: 5000, 100: 10_000, 1000: 15_000 },
    seeds: few,
    measure: (members, seed) => healPartition({ members, seed }, 60_000),
  },
  {
    name: 'T15 one restart taken by all',
    bars: { 3: 1000, 100: 1500, 1000: 2000, 10000: 2500 },
    measure: (members, seed) => restartOne({ members, seed }),
  },
  {
    name: 'T16 all restart within a second, one group again',
    bars: { 3: 2000, 100: 5000, 1000: 10_000 },
    seeds: few,
    measure: (members, seed) => restartAll({ members, seed }, 1000),
  },
  {
    name: 'all join within a second through three seeds',
    bars: { 3: 2000, 100: 5000, 1000: 10_000 },
    seeds: few,
    measure: (members, seed) => joinAll({ members, seed }, 1000),
  },
]

const fullSeeds = { 3: 30, 100: 30, 1000: 5, 10000: 4 }
const shortSeeds = { 3: 10, 100: 5, 1000: 1, 10000: 0 }

function seedsOf({ seeds }: Figure, size: Size, form: Arguments['form']): number[] {
  const limit = form === 'full' ? fullSeeds[size] : size >= 1000 && seeds !== undefined ? 0 : shortSeeds[size]
  return Array.from({ length: Math.min(limit, seeds?.[size] ?? limit) }, (_, at) => at + 1)
}

function rowsOf(figure: Figure, form: Arguments['form']): Row[] {
  const rows: Row[] = []
  for (const [key, barMs] of Object.entries(figure.bars)) {
    const size = Number(key) as Size
    const seeds = seedsOf(figure, size, form)
    if (seeds.length === 0) continue
    const took = seeds.map((seed) => figure.measure(size, seed) ?? Number.POSITIVE_INFINITY)
    const rival = figure.memberlist?.[size] ?? null
    rows.push(atMost(`${figure.name}, N=${size}, ms`, Math.round(median(took)), barMs, `ms (${seeds.length} seeds)`, rival))
  }
  return rows
}

/** Deaths of the living, and what peace costs. */
function peaceRows(form: Arguments['form']): Row[] {
  const rows: Row[] = []
  const hours = form === 'full' ? 10 : 1
  const perHour = ({ falseDead, nodeHours }: Peace): number => Math.round((falseDead / nodeHours) * 100) / 100
  for (const members of form === 'full' ? [3, 100, 1000] : [3, 100])
    for (const [lossRate, rivals] of [
      [0.1, {}],
      [0.2, { 3: 3.7, 100: 0.12 }],
    ] as const) {
      const peace = keepPeace({ members, seed: 1, conditions: { lossRate } }, (hours * 3_600_000) / members)
      const rival = (rivals as BySize)[members as Size] ?? null
      rows.push(atMost(`T8 false deaths per node-hour at ${100 * lossRate} % loss, N=${members}`, perHour(peace), 0, '', rival))
    }
  for (const [members, paused, rival] of form === 'full'
    ? ([
        [3, 1, 16],
        [128, 16, 16_136],
        [1000, 100, null],
      ] as const)
    : ([
        [3, 1, 16],
        [128, 16, 16_136],
      ] as const)) {
    const lasting = members === 1000 ? 45_000 : 120_000
    const peace = keepPeace({ members, seed: 1 }, lasting, pauseInTurns(paused, 16_000, 500))
    rows.push(atMost(`T9 false deaths while ${paused} of ${members} stop for 16 s over and over`, peace.falseDead, 0, '', rival))
  }
  for (const [members, bytesMax, cpuMax] of [
    [3, 600, 0.5],
    [100, 800, 0.5],
    [1000, 1200, 1],
  ] as const) {
    const peace = keepPeace({ members, seed: 1 }, 30_000)
    rows.push(atMost(`T11 packets a second, N=${members}`, Math.round(peace.packetsPerSecond * 100) / 100, 3, ''))
    rows.push(atMost(`T12 bytes a second sealed, N=${members}`, Math.round(peace.bytesPerSecond), bytesMax, 'B'))
    const percent = Math.round(peace.cpuMsPerSecond * 100) / 1000
    rows.push(atMost(`T13 CPU of core and simulator, N=${members}, %`, percent, cpuMax, '% of a core'))
  }
  return rows
}

export function simulatorRows(form: Arguments['form']): Row[] {
  return [...figures.flatMap((figure) => rowsOf(figure, form)), ...peaceRows(form)]
}
