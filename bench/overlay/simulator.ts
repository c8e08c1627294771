/** The table of targets in the simulator: virtual time, 0.5–1.5 ms between members. */
import type { Peace } from '../../lib/sim/overlay/index.js'
import {
  broadcast,
  detectDeath,
  healPartition,
  joinAll,
  keepPeace,
  meetAgain,
  pauseInTurns,
  restartAll,
  restartOne,
  stallAtRandom,
} from '../../lib/sim/overlay/index.js'
import { atMost, median, percentile, type Row } from '../report.js'
import type { Arguments } from './arguments.js'

const sizes = [3, 100, 1000, 10_000] as const
type Size = (typeof sizes)[number]
type BySize = Readonly<Partial<Record<Size, number>>>
type Form = Arguments['form']
type Wanted = Pick<Arguments, 'form' | 'targets' | 'sizes' | 'seeds'>
type Note = (what: string, result: object) => void

/** One figure of a scenario by size of the group: its bars and memberlist's milliseconds. */
interface Figure {
  readonly name: string
  readonly bars: BySize
  readonly memberlist?: BySize
  /** What of all seeds is held against the bar; default: the median. */
  readonly of?: 'worst'
}

interface Scenario {
  readonly figures: readonly Figure[]
  /** So much happens that the short form has none of 1,000 and more. */
  readonly isLong?: true
  /** Milliseconds for each figure; undefined where it did not happen. */
  run(members: number, seed: number): readonly (number | undefined)[]
}

const firstOf = { 3: 6000, 100: 9970, 1000: 14_500, 10000: 18_900 }
const allOf = { 3: 6000, 100: 10_380, 1000: 15_100, 10000: 19_800 }
const fullSeeds = { 3: 30, 100: 30, 1000: 30, 10000: 4 }
const shortSeeds = { 3: 10, 100: 5, 1000: 1, 10000: 0 }

const scenarios: readonly Scenario[] = [
  {
    figures: [
      { name: 'T1 process killed, first knows', bars: { 3: 300, 100: 500, 1000: 500, 10000: 500 }, memberlist: firstOf },
      { name: 'T2 process killed, all know', bars: { 3: 500, 100: 1000, 1000: 1500, 10000: 2000 }, memberlist: allOf },
      { name: 'T17 process killed, the leader knows', bars: { 3: 500, 100: 700, 1000: 700, 10000: 700 } },
    ],
    run: (members, seed) => {
      const { firstMs, allMs, leaderMs } = detectDeath({ members, seed }, 'process')
      return [firstMs, allMs, leaderMs]
    },
  },
  {
    figures: [
      { name: 'T3 machine lost, first knows', bars: { 3: 4000, 100: 6000, 1000: 9000, 10000: 11_000 }, memberlist: firstOf },
      { name: 'T4 machine lost, all know', bars: { 3: 4200, 100: 6500, 1000: 9600, 10000: 12_000 }, memberlist: allOf },
      { name: 'T17 machine lost, the leader knows', bars: { 3: 4200, 100: 6200, 1000: 9200, 10000: 11_200 } },
    ],
    run: (members, seed) => {
      const { firstMs, allMs, leaderMs } = detectDeath({ members, seed }, 'machine')
      return [firstMs, allMs, leaderMs]
    },
  },
  {
    figures: [
      {
        name: 'T5 a fifth of all machines lost, all know',
        bars: { 100: 11_000, 1000: 17_000, 10000: 45_000 },
        memberlist: { 100: 15_500, 1000: 21_000 },
      },
    ],
    isLong: true,
    run: (members, seed) => [detectDeath({ members, seed }, 'machine', 0.2).allMs],
  },
  {
    figures: [
      { name: 'T6 news known to 99 %', bars: { 3: 100, 100: 600, 1000: 800, 10000: 1000 } },
      { name: 'T6 news known to all', bars: { 3: 200, 100: 900, 1000: 1100, 10000: 1600 } },
    ],
    run: (members, seed) => {
      const { mostMs, allMs } = broadcast({ members, seed })
      return [mostMs, allMs]
    },
  },
  {
    figures: [
      {
        name: 'T7 news known to all at 20 % loss, slowest seed',
        bars: { 3: 1000, 100: 1300, 1000: 1300, 10000: 1800 },
        memberlist: { 3: 13_400 },
        of: 'worst',
      },
    ],
    run: (members, seed) => [broadcast({ members, seed, conditions: { lossRate: 0.2 } }).allMs],
  },
  {
    figures: [{ name: 'T14 halves one again after a minute apart', bars: { 3: 5000, 100: 10_000, 1000: 15_000, 10000: 30_000 } }],
    isLong: true,
    // Of 10,000 the minute apart would take hours to compute: each half begins as it would end it, holding the other dead.
    run: (members, seed) => [members >= 10_000 ? meetAgain({ members, seed }) : healPartition({ members, seed }, 60_000)],
  },
  {
    figures: [{ name: 'T15 one restart taken by all', bars: { 3: 1000, 100: 1500, 1000: 2000, 10000: 2500 } }],
    run: (members, seed) => [restartOne({ members, seed })],
  },
  {
    figures: [
      { name: 'T16 all restart within a second, one group again', bars: { 3: 2000, 100: 5000, 1000: 10_000, 10000: 30_000 } },
    ],
    isLong: true,
    run: (members, seed) => [restartAll({ members, seed }, 1000)],
  },
  {
    figures: [{ name: 'all join within a second through three seeds', bars: { 3: 2000, 100: 5000, 1000: 10_000 } }],
    isLong: true,
    run: (members, seed) => [joinAll({ members, seed }, 1000)],
  },
]

/** Rows that come of one run, or of one for each seed. */
interface Cell {
  /** The first word of its figures' names. */
  readonly targets: readonly string[]
  readonly members: number
  rows(note: Note): Row[]
}

function seedsOf({ isLong }: Scenario, size: Size, form: Form): number[] {
  const count = form === 'full' ? fullSeeds[size] : size >= 1000 && isLong ? 0 : shortSeeds[size]
  return Array.from({ length: count }, (_, at) => at + 1)
}

function scenarioCell(scenario: Scenario, size: Size, { form, seeds: wanted }: Wanted): Cell[] {
  const figures = scenario.figures.flatMap(({ bars, ...figure }, at) => {
    const bar = bars[size]
    return bar === undefined ? [] : [{ ...figure, at, bar }]
  })
  const usual = seedsOf(scenario, size, form)
  if (figures.length === 0 || usual.length === 0) return []
  const seeds = wanted ?? usual
  const rows = (note: Note): Row[] => {
    const runs = seeds.map((seed) => {
      const run = scenario.run(size, seed)
      // Hours may pass until all seeds are through.
      if (form === 'full')
        for (const { name, at } of figures) note(`${name}, N=${size}, seed ${seed}`, { ms: run[at] ?? 'never' })
      return run
    })
    return figures.map(({ name, bar, at, memberlist, of }) => {
      const took = runs.map((run) => run[at] ?? Number.POSITIVE_INFINITY)
      const worst = Math.round(percentile(took, 0.99))
      const unit = `ms (${seeds.length} seeds, p99 ${worst})`
      const value = of === 'worst' ? worst : Math.round(median(took))
      return atMost(`${name}, N=${size}, ms`, value, bar, unit, memberlist?.[size] ?? null)
    })
  }
  return [{ targets: figures.map(({ name }) => firstWord(name)), members: size, rows }]
}

function firstWord(text: string): string {
  return text.split(' ', 1)[0] as string
}

const perHour = ({ falseDead, nodeHours }: Peace): number => Math.round((falseDead / nodeHours) * 100) / 100

/** Ten node-hours for each size, and at least half a minute. */
function lossCells(form: Form): Cell[] {
  const hours = form === 'full' ? 10 : 1
  const rivals = new Map([
    ['3 0.2', 3.7],
    ['100 0.2', 0.12],
  ])
  return (form === 'full' ? sizes : sizes.slice(0, 2)).flatMap((members) =>
    [0.1, 0.2].map((lossRate): Cell => {
      const lastingMs = Math.max(members === 10_000 ? 20_000 : 30_000, (hours * 3_600_000) / members)
      const rows = (): Row[] => {
        const peace = keepPeace({ members, seed: 1, conditions: { lossRate } }, lastingMs)
        const figure = `T8 false deaths per node-hour at ${100 * lossRate} % loss, N=${members}`
        const unit = `(${Math.round(peace.nodeHours)} node-hours)`
        return [atMost(figure, perHour(peace), 0, unit, rivals.get(`${members} ${lossRate}`) ?? null)]
      }
      return { targets: ['T8'], members, rows }
    }),
  )
}

function pauseCells(form: Form): Cell[] {
  const cases = [
    { members: 3, paused: 1, pausedMs: 16_000, lastingMs: 120_000, rival: 16 },
    { members: 3, paused: 1, pausedMs: 25_000, lastingMs: 120_000, rival: 10 },
    { members: 128, paused: 16, pausedMs: 16_000, lastingMs: 120_000, rival: 16_136 },
    { members: 128, paused: 16, pausedMs: 25_000, lastingMs: 120_000, rival: 10_011 },
    { members: 1000, paused: 100, pausedMs: 20_000, lastingMs: 60_000, rival: null },
  ] as const
  return cases
    .filter(({ members }) => form === 'full' || members < 1000)
    .map(({ members, paused, pausedMs, lastingMs, rival }) => {
      const rows = (): Row[] => {
        const peace = keepPeace({ members, seed: 1 }, lastingMs, pauseInTurns(paused, pausedMs, 500))
        const figure = `T9 false deaths while ${paused} of ${members} stop for ${pausedMs / 1000} s over and over`
        return [atMost(figure, peace.falseDead, 0, '', rival)]
      }
      return { targets: ['T9'], members, rows }
    })
}

function stallCells(form: Form): Cell[] {
  const cases = [
    [3, 1],
    [100, 10],
    [1000, 50],
    [10_000, 50],
  ] as const
  return cases
    .filter(([members]) => form === 'full' || members < 1000)
    .map(([members, count]) => {
      const rows = (): Row[] => {
        const lastingMs = members === 10_000 ? 30_000 : 120_000
        const peace = keepPeace({ members, seed: 1 }, lastingMs, stallAtRandom(count, [2000, 20_000], 5000))
        return [atMost(`T10 false deaths while the loops of ${count} of ${members} stall for 2 to 20 s`, peace.falseDead, 0, '')]
      }
      return { targets: ['T10'], members, rows }
    })
}

function costCells(form: Form): Cell[] {
  const bars = [
    [3, 600, 0.5],
    [100, 800, 0.5],
    [1000, 1200, 1],
    [10_000, 3000, 2],
  ] as const
  return bars
    .filter(([members]) => form === 'full' || members < 10_000)
    .map(([members, bytesMax, cpuMax]) => {
      const rows = (): Row[] => {
        const peace = keepPeace({ members, seed: 1 }, members === 10_000 ? 10_000 : 30_000)
        const percent = Math.round(peace.cpuMsPerSecond * 100) / 1000
        return [
          atMost(`T11 packets a second, N=${members}`, Math.round(peace.packetsPerSecond * 100) / 100, 3, ''),
          atMost(`T12 bytes a second sealed, N=${members}`, Math.round(peace.bytesPerSecond), bytesMax, 'B'),
          atMost(`T13 CPU of core and simulator, N=${members}, %`, percent, cpuMax, '% of a core'),
        ]
      }
      return { targets: ['T11', 'T12', 'T13'], members, rows }
    })
}

export function simulatorRows(given: Wanted, note: Note): Row[] {
  const { form, targets, sizes: wanted } = given
  const cells = scenarios.flatMap((scenario) => sizes.flatMap((size) => scenarioCell(scenario, size, given)))
  for (const more of [lossCells, pauseCells, stallCells, costCells]) cells.push(...more(form))
  const chosen = cells
    .filter(({ members }) => wanted.size === 0 || wanted.has(members))
    .filter((cell) => targets.size === 0 || cell.targets.some((target) => targets.has(target)))
  return chosen.flatMap(({ rows }) => {
    const done = rows(note)
    for (const { figure, skein, bar } of done) note(figure, { skein, bar })
    return done
  })
}
