/** Of the table of targets what takes time: T1 to T7 and T14 to T17, each the median of its seeds, and how far the slowest is from it. */
import { broadcast, detectDeath, healPartition, joinAll, meetAgain, restartAll, restartOne } from '../../lib/sim/overlay/index.js'
import { atMost, median, percentile, type Row, skipped, toTell } from '../report.js'
import { type Cell, firstWord, fullSeeds, type Note, round, type Size, sizes } from './cells.js'

type BySize = Readonly<Partial<Record<Size, number>>>

/** One figure of a scenario by size of the group: its bars and memberlist's milliseconds. */
interface Figure {
  readonly name: string
  readonly bars: BySize
  readonly memberlist?: BySize
  /** What of all seeds is held against the bar; default: the median. */
  readonly of?: 'worst'
  /** Why the table's bar for p99 / median says nothing of it; undefined: it does. */
  readonly spreads?: string
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
const shortSeeds = { 3: 10, 100: 5, 1000: 1, 10000: 0 }
/** The table's header: p99 ≤ 1.5 × median. */
const spreadMax = 1.5
const leaderHolds = "the leader's membership holds it failed (its scheduler's verdict follows after a grace)"

/** Until the first, all, and the leader know. */
function deathOf(lost: 'process' | 'machine', members: number, seed: number): readonly (number | undefined)[] {
  const { firstMs, allMs, leaderMs } = detectDeath({ members, seed }, lost)
  return [firstMs, allMs, leaderMs]
}

const scenarios: readonly Scenario[] = [
  {
    figures: [
      { name: 'T1 process killed, first knows', bars: { 3: 300, 100: 500, 1000: 500, 10000: 500 }, memberlist: firstOf },
      { name: 'T2 process killed, all know', bars: { 3: 500, 100: 1000, 1000: 1500, 10000: 2000 }, memberlist: allOf },
      { name: `T17 process killed, ${leaderHolds}`, bars: { 3: 500, 100: 700, 1000: 700, 10000: 700 } },
    ],
    run: (members, seed) => deathOf('process', members, seed),
  },
  {
    figures: [
      { name: 'T3 machine lost, first knows', bars: { 3: 4000, 100: 6000, 1000: 9000, 10000: 11_000 }, memberlist: firstOf },
      { name: 'T4 machine lost, all know', bars: { 3: 4200, 100: 6500, 1000: 9600, 10000: 12_000 }, memberlist: allOf },
      { name: `T17 machine lost, ${leaderHolds}`, bars: { 3: 4200, 100: 6200, 1000: 9200, 10000: 11_200 } },
    ],
    run: (members, seed) => deathOf('machine', members, seed),
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
        name: 'T7 news known to all at 20 % loss',
        bars: { 3: 1000, 100: 1300, 1000: 1300, 10000: 1800 },
        memberlist: { 3: 13_400 },
        of: 'worst',
        spreads: 'T7 is a p99 itself: how often chance loses the same news',
      },
    ],
    run: (members, seed) => [broadcast({ members, seed, conditions: { lossRate: 0.2 } }).allMs],
  },
  {
    figures: [
      {
        name: 'T14 halves one again after a minute apart',
        bars: { 3: 5000, 100: 10_000, 1000: 15_000, 10000: 30_000 },
        spreads: 'they meet at a random moment of a rhythm of a second, which for a few members is all the time it takes',
      },
    ],
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

export function timedCells(): Cell[] {
  return scenarios.flatMap((scenario) => sizes.flatMap((size) => scenarioCell(scenario, size)))
}

function scenarioCell({ figures, isLong, run }: Scenario, size: Size): Cell[] {
  const barred = figures.flatMap((figure, at) => {
    const bar = figure.bars[size]
    return bar === undefined ? [] : [{ figure, at, bar }]
  })
  if (barred.length === 0) return []
  const rows = (seeds: readonly number[], note: Note): Row[] => {
    const runs = seeds.map((seed) => {
      const took = run(size, seed)
      for (const { figure, at } of barred) note(`${figure.name}, N=${size}, seed ${seed}`, { ms: took[at] ?? 'never' })
      return took
    })
    return barred.flatMap(({ figure, at, bar }) => {
      const took = runs.map((all) => all[at] ?? Number.POSITIVE_INFINITY)
      return rowsOf(figure, size, took, bar)
    })
  }
  const short = size >= 1000 && isLong ? 0 : shortSeeds[size]
  return [
    { targets: barred.map(({ figure }) => firstWord(figure.name)), members: size, seeds: { short, full: fullSeeds(size) }, rows },
  ]
}

/** The figure itself, and how far its slowest seed is from its median. */
function rowsOf({ name, memberlist, of, spreads }: Figure, size: Size, took: readonly number[], bar: number): Row[] {
  const [middleMs, worstMs] = [median(took), percentile(took, 0.99)]
  const unit = `ms (${took.length} seeds, p99 ${Math.round(worstMs)})`
  const value = Math.round(of === 'worst' ? worstMs : middleMs)
  const which = of === 'worst' ? ', slowest seed' : ''
  return [
    atMost(`${name}${which}, N=${size}, ms`, value, bar, unit, memberlist?.[size] ?? null),
    spreadRow(`${name}, N=${size}, p99 / median`, took.length, round(worstMs / middleMs, 2), spreads),
  ]
}

function spreadRow(figure: string, seeds: number, spread: number, why: string | undefined): Row {
  if (seeds < 2) return skipped(figure, `≤ ${spreadMax}`, 'of one seed')
  if (why === undefined) return atMost(figure, spread, spreadMax, `(${seeds} seeds)`)
  return { ...toTell(figure, spread, null, 'less'), bar: `– (${why})` }
}
