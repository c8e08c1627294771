/** What the table of membership's benchmark is made of: which seeds run for how long, what is summed, and what is held against which bar. */
import t from 'tap'
import type { Wanted } from '../../bench/overlay/cells.js'
import type { Member } from '../../bench/overlay/group.js'
import type { MemberCounts } from '../../bench/overlay/member.js'
import { countTraffic, untilHealthy } from '../../bench/overlay/peace.js'
import { type Kind, peacefulKinds } from '../../bench/overlay/peaceful.js'
import { cellsToRun, simulatorRows } from '../../bench/overlay/simulator.js'
import { resolveSwimOptions, suspicionBounds } from '../../lib/overlay/swim/index.js'
import type { Peace } from '../../lib/sim/overlay/index.js'

const short: Wanted = { form: 'short', targets: new Set(), sizes: new Set(), seeds: undefined }
const calm: Peace = { falseDead: 0, suspicions: 0, nodeHours: 1, packetsPerSecond: 2, bytesPerSecond: 200, cpuMsPerSecond: 0.1 }

const kindsOf = (target: string): Kind[] => peacefulKinds().filter(({ targets }) => targets.includes(target))

t.test('nobody is watched for less than twice the longest suspicion, and T8 for ten node-hours', async (t) => {
  for (const { targets, members, lastingMs } of peacefulKinds()) {
    const { maxMs } = suspicionBounds(members, resolveSwimOptions())
    t.ok(lastingMs >= 2 * maxMs, `${targets.join()} of ${members}: ${lastingMs} ms of ${maxMs}`)
  }
  const full = cellsToRun({ ...short, form: 'full', targets: new Set(['T8']) })
  const kinds = kindsOf('T8')
  t.equal(full.length, 8)
  for (const [at, { cell, seeds }] of full.entries()) {
    const hours = (cell.members * (kinds[at]?.lastingMs ?? 0) * seeds.length) / 3_600_000
    t.ok(hours > 9.999, `N=${cell.members}: ${hours} node-hours`)
  }
})

t.test('the full form takes 30 seeds of every cell, 4 at 10,000, and T9 has all sizes', async (t) => {
  const full = cellsToRun({ ...short, form: 'full' })
  for (const { cell, seeds } of full) t.equal(seeds.length, cell.members === 10_000 ? 4 : 30, cell.targets.join())
  const paused = full.filter(({ cell }) => cell.targets.includes('T9')).map(({ cell }) => cell.members)
  t.strictSame([...new Set(paused)], [3, 128, 1000, 10_000])
})

t.test('seeds that are named reach every figure, and sizes that are named run also where the form has none', async (t) => {
  const seeds = [2, 3]
  const large = cellsToRun({ ...short, sizes: new Set([10_000]), seeds })
  const targets = new Set(large.flatMap(({ cell }) => cell.targets))
  for (let number = 1; number <= 17; number++) t.ok(targets.has(`T${number}`), `T${number} of 10,000`)
  for (const run of large) t.strictSame(run.seeds, seeds)
  t.notOk(cellsToRun({ ...short, seeds }).some(({ cell }) => cell.members === 10_000))
  t.strictSame(cellsToRun({ ...short, sizes: new Set([10_000]) }), [], 'without seeds the short form stays short')
})

t.test('false deaths are summed over seeds, and a single one in a thousand hours misses the bar', async (t) => {
  const runs = [calm, { ...calm, falseDead: 1, nodeHours: 999 }, calm]
  for (const target of ['T8', 'T9', 'T10'])
    for (const kind of kindsOf(target)) {
      const [row] = kind.rows(runs, 'three seeds')
      t.equal(row?.ok, false, target)
      t.ok((row?.skein ?? 0) > 0)
      t.equal(kind.rows([calm, calm], 'two seeds')[0]?.ok, true)
    }
})

t.test('packets, bytes and processor time are the median of the seeds', async (t) => {
  const runs = [2, 2.5, 40].map((factor): Peace => {
    return { ...calm, packetsPerSecond: factor, bytesPerSecond: 100 * factor, cpuMsPerSecond: factor }
  })
  for (const kind of kindsOf('T12'))
    t.strictSame(
      kind.rows(runs, 'three seeds').map(({ skein }) => skein),
      [2.5, 250, 0.25],
    )
})

t.test('each timed figure says how far its slowest seed is from the median, held against 1.5 where that can hold', async (t) => {
  const given = { ...short, sizes: new Set([3]), targets: new Set(['T1', 'T7', 'T14']) }
  const rows = simulatorRows({ ...given, seeds: [1, 2, 3] }, () => undefined)
  const spread = rows.filter(({ figure }) => figure.endsWith('p99 / median'))
  t.equal(spread.length * 2, rows.length)
  for (const { figure, skein, bar, ok } of spread) {
    t.ok((skein ?? 0) >= 1, `${figure}: ${skein}`)
    if (/^T(7|14) /.test(figure)) t.match(bar, /^– \(.+\)$/, 'the reason stands in the place of the bar')
    else t.match({ bar, ok }, { bar: '≤ 1.5 (3 seeds)', ok: (skein ?? 0) <= 1.5 })
  }
  const ofOne = simulatorRows({ ...given, seeds: [1] }, () => undefined)
  for (const { figure, ok } of ofOne) if (figure.endsWith('p99 / median')) t.equal(ok, null, 'one seed says nothing of a spread')
})

/** Two members that send 3 datagrams of 100 bytes and one message of 50 between two looks. */
function groupOf(scores: (look: number) => readonly [number, number]): Parameters<typeof countTraffic>[0] {
  const members = [0, 1].map((number): Member => ({ number, node: `member${number}`, address: '', pid: 0 }))
  const looks = [0, 0]
  return {
    size: 2,
    members,
    counts: async ({ number }): Promise<MemberCounts> => {
      const look = (looks[number] as number)++
      const healthScore = scores(look)[number] as number
      const sent = { datagrams: 3 * look, datagramBytes: 300 * look, linkMessages: look, linkBytes: 50 * look }
      return { ...sent, healthScore, isStreamOnly: false }
    },
  }
}

t.test('members that still throttle themselves are waited for, and named when it takes too long', async (t) => {
  await t.rejects(
    untilHealthy(
      groupOf(() => [0, 2]),
      0,
    ),
    { message: /not within 0 s.*\(member 1 at 2\)/ },
  )
  await untilHealthy(
    groupOf(() => [0, 0]),
    0,
  )
})

t.test('traffic counts datagrams and messages with their headers, and the worst health that was seen', async (t) => {
  const traffic = await countTraffic(
    groupOf((look) => [0, look]),
    20,
  )
  t.ok(traffic.worstScore >= 1, 'also of a look between')
  // Of four packets three are datagrams of 100 bytes and 28 of headers, and one is a message of 50 and 87.
  t.equal(Math.round((traffic.bytesPerSecond / traffic.packetsPerSecond) * 100), Math.round(((3 * 128 + 137) / 4) * 100))
})
