/** Of the table of targets what nobody may die of, and what peace costs: T8 to T13, over as many seeds as the others. */
import { resolveSwimOptions, suspicionBounds } from '../../lib/overlay/swim/index.js'
import type { Peace, ScenarioOptions } from '../../lib/sim/overlay/index.js'
import { keepPeace, type OverlaySim, pauseInTurns, stallAtRandom } from '../../lib/sim/overlay/index.js'
import { atMost, median, type Row } from '../report.js'
import { type Cell, fullSeeds, type Note, round, sizes } from './cells.js'

const swim = resolveSwimOptions()
/** The table: at least so many for each cell of T8, over all of its seeds. */
const nodeHoursMin = 10
/** Small groups that are disturbed are watched for as long as memberlist was, which costs little. */
const smallMs = 120_000
const smallMax = 128

/** One kind of peace in a group of one size. */
export interface Kind {
  readonly targets: readonly string[]
  readonly members: number
  /** Virtual milliseconds for each seed, after its warm-up. */
  readonly lastingMs: number
  readonly conditions?: ScenarioOptions['conditions']
  readonly disturb?: (sim: OverlaySim) => void
  /** Seeds of the short form. */
  readonly short: number
  /** `of`: what was run, for who reads the figure. */
  rows(runs: readonly Peace[], of: string): Row[]
}

export function peacefulCells(): Cell[] {
  return peacefulKinds().map(cellOf)
}

export function peacefulKinds(): Kind[] {
  return [...lossKinds(), ...pauseKinds(), ...stallKinds(), ...costKinds()]
}

/** A suspicion that nobody confirms ends inside, also one that begins halfway: who would be taken for dead is. */
function watchedMs(members: number): number {
  return 2 * suspicionBounds(members, swim).maxMs
}

function cellOf({ targets, members, lastingMs, conditions, disturb, short, rows }: Kind): Cell {
  return {
    targets,
    members,
    seeds: { short, full: fullSeeds(members) },
    rows(seeds, note: Note) {
      const runs = seeds.map((seed) => {
        const peace = keepPeace({ members, seed, ...(conditions && { conditions }) }, lastingMs, disturb)
        note(`${targets.join(', ')}, N=${members}, seed ${seed}${conditions ? `, loss ${conditions.lossRate}` : ''}`, peace)
        return peace
      })
      return rows(runs, `${seeds.length} seeds of ${Math.round(lastingMs / 1000)} s, ${round(hoursOf(runs), 1)} node-hours`)
    },
  }
}

const deathsOf = (runs: readonly Peace[]): number => sumOf(runs, ({ falseDead }) => falseDead)
const hoursOf = (runs: readonly Peace[]): number => sumOf(runs, ({ nodeHours }) => nodeHours)

function sumOf(runs: readonly Peace[], of: (run: Peace) => number): number {
  return runs.reduce((sum, run) => sum + of(run), 0)
}

function lossKinds(): Kind[] {
  const rivals = new Map([
    ['3 0.2', 3.7],
    ['100 0.2', 0.12],
  ])
  return sizes.flatMap((members) =>
    [0.1, 0.2].map((lossRate): Kind => {
      const shareMs = (nodeHoursMin * 3_600_000) / (members * fullSeeds(members))
      return {
        targets: ['T8'],
        members,
        lastingMs: Math.max(watchedMs(members), shareMs),
        conditions: { lossRate },
        short: members >= 1000 ? 0 : 5,
        rows: (runs, of) => {
          const dead = deathsOf(runs)
          // By its first digits: rounded to hundredths, one death in a thousand hours would be none.
          const perHour = Number((dead / hoursOf(runs)).toPrecision(3))
          const figure = `T8 false deaths per node-hour at ${100 * lossRate} % loss, N=${members}`
          return [atMost(figure, perHour, 0, `(${dead} deaths, ${of})`, rivals.get(`${members} ${lossRate}`) ?? null)]
        },
      }
    }),
  )
}

const disturbedMs = (members: number): number => Math.max(watchedMs(members), members <= smallMax ? smallMs : 0)

function pauseKinds(): Kind[] {
  const cases = [
    { members: 3, paused: 1, seconds: 16, rival: 16, short: 5 },
    { members: 3, paused: 1, seconds: 25, rival: 10, short: 5 },
    { members: 128, paused: 16, seconds: 16, rival: 16_136, short: 1 },
    { members: 128, paused: 16, seconds: 25, rival: 10_011, short: 1 },
    { members: 1000, paused: 100, seconds: 25, rival: null, short: 0 },
    { members: 10_000, paused: 1000, seconds: 25, rival: null, short: 0 },
  ] as const
  return cases.map(({ members, paused, seconds, rival, short }): Kind => {
    const figure = `T9 false deaths while ${paused} of ${members} stop for ${seconds} s over and over`
    return {
      targets: ['T9'],
      members,
      lastingMs: disturbedMs(members),
      disturb: pauseInTurns(paused, seconds * 1000, 500),
      short,
      rows: (runs, of) => [atMost(figure, deathsOf(runs), 0, `(${of}${rival === null ? '' : '; memberlist: one run'})`, rival)],
    }
  })
}

function stallKinds(): Kind[] {
  const cases = [
    [3, 1, 5],
    [100, 10, 1],
    [1000, 50, 0],
    [10_000, 50, 0],
  ] as const
  return cases.map(([members, count, short]): Kind => {
    const figure = `T10 false deaths while the loops of ${count} of ${members} stall for 2 to 20 s`
    return {
      targets: ['T10'],
      members,
      lastingMs: disturbedMs(members),
      disturb: stallAtRandom(count, [2000, 20_000], 5000),
      short,
      rows: (runs, of) => [atMost(figure, deathsOf(runs), 0, `(${of})`)],
    }
  })
}

function costKinds(): Kind[] {
  const bars = [
    [3, 600, 0.5, 5],
    [100, 800, 0.5, 5],
    [1000, 1200, 1, 1],
    [10_000, 3000, 2, 0],
  ] as const
  return bars.map(([members, bytesMax, cpuMax, short]): Kind => {
    const parts = "probing, rumours, comparison of tables of members; workers' rows are counted apart"
    return {
      targets: ['T11', 'T12', 'T13'],
      members,
      lastingMs: watchedMs(members),
      short,
      rows: (runs, of) => {
        const middle = (figure: (run: Peace) => number): number => median(runs.map(figure))
        const percent = round(middle(({ cpuMsPerSecond }) => cpuMsPerSecond) / 10, 3)
        const bytes = Math.round(middle(({ bytesPerSecond }) => bytesPerSecond))
        const packets = middle(({ packetsPerSecond }) => packetsPerSecond)
        return [
          atMost(`T11 packets a second, N=${members}`, round(packets, 2), 3, `(${of})`),
          atMost(`T12 bytes a second sealed (${parts}), N=${members}`, bytes, bytesMax, `B (${of})`),
          atMost(`T13 CPU of core and simulator, N=${members}, %`, percent, cpuMax, `% of a core (${of})`),
        ]
      },
    }
  })
}
