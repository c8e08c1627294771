import t from 'tap'
import type { LoadRow } from '../../lib/api/worker-rows.js'
import { seededRandom } from '../../lib/base/random.js'
import { LoadMeter } from '../../lib/peer/load-meter.js'
import { nextEpoch } from '../../lib/peer/state-dir.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

t.test(
  'load is told when it differs by more than a tenth, after ten seconds at the earliest, and once a minute in any case',
  async (t) => {
    const clock = new ManualClock()
    const told: LoadRow[] = []
    let busyPart = 0
    const times = { busy: 0, total: 0 }
    let tasks = 0
    const meter = new LoadMeter({
      clock,
      cpuTimes: () => {
        times.total += 1_000
        times.busy += 1_000 * busyPart
        return { ...times }
      },
      memoryFreeBytes: () => 1_000,
      unreserved: () => ({ unreservedCpuNanos: 1, unreservedMemoryBytes: 1, tasks }),
      tell: (load) => told.push(load),
    })
    meter.start()
    clock.advance(2_000 + 9 * 60_000)
    t.equal(told.length, 10, 'quiet: once a minute')
    t.match(told.at(-1), { cpu: 0, lagMs: 0, count: 10 })
    busyPart = 1
    clock.advance(8_000)
    t.equal(told.length, 10, 'not so soon again')
    clock.advance(2_000)
    t.equal(told.length, 11)
    clock.advance(60_000)
    t.ok((told.at(-1)?.cpu ?? 0) > 0.95, 'the average comes to it')
    const before = told.length
    tasks = 3
    clock.advance(2_000)
    t.equal(told.length, before + 1)
    t.equal(told.at(-1)?.tasks, 3, 'another task is told at once')
    meter.stop()
    t.equal(clock.pending, 0)
  },
)

t.test('what an idle machine does by the way is no news', async (t) => {
  const clock = new ManualClock()
  const random = seededRandom(7)
  const told: LoadRow[] = []
  const times = { busy: 0, total: 0 }
  const meter = new LoadMeter({
    clock,
    cpuTimes: () => {
      times.total += 1_000
      times.busy += 1_000 * (0.05 + 0.15 * random()) // 5 to 20 %
      return { ...times }
    },
    memoryFreeBytes: () => 8e9 * (0.97 + 0.06 * random()),
    unreserved: () => ({ unreservedCpuNanos: 1, unreservedMemoryBytes: 1, tasks: 1 }),
    tell: (load) => told.push(load),
  })
  meter.start()
  clock.advance(30 * 60_000)
  t.ok(told.length <= 32, `${told.length} statements in half an hour: one a minute, and one while the average came up`)
  meter.stop()
})

t.test('a process whose timers run late says so', async (t) => {
  const clock = new ManualClock()
  const told: LoadRow[] = []
  const meter = new LoadMeter({
    clock,
    cpuTimes: () => ({ busy: 0, total: 0 }),
    memoryFreeBytes: () => 1,
    unreserved: () => ({ unreservedCpuNanos: 1, unreservedMemoryBytes: 1, tasks: 0 }),
    tell: (load) => told.push(load),
  })
  meter.start()
  clock.advance(2_000)
  clock.stall(12_000)
  t.ok((told.at(-1)?.lagMs ?? 0) >= 300, JSON.stringify(told.at(-1)))
  meter.stop()
})

t.test('the number of a start is above every earlier one, whatever became of the disk or the clock', async (t) => {
  t.equal(nextEpoch(undefined, 5_000_000), 5_000)
  t.equal(nextEpoch(5_000, 5_000_999), 5_001, 'twice within a second')
  t.equal(nextEpoch(9_000, 5_000_000), 9_001, 'the clock was set back')
})
