import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { NodeTable } from '../../lib/scheduler/node-table.js'
import { spread, waterFill } from '../../lib/scheduler/spread.js'
import { BenchCluster } from '../orchestrator/bench-cluster.js'

interface Row {
  readonly level: number
  readonly room: number
  readonly total: number
  readonly penalty: number
  readonly zone: number
  readonly rack: number
}

const row = fc.record({
  level: fc.nat(6),
  room: fc.nat(5),
  total: fc.nat(9),
  penalty: fc.constantFrom(0, 0, 0, 5, 7),
  zone: fc.nat(2),
  rack: fc.nat(2),
})

/** One task at a time to the best place: slow and plainly right. */
function greedy(rows: readonly Row[], count: number, preferences: readonly ('zone' | 'rack')[]): number[] {
  const given = rows.map(() => 0)
  const hasRoom = (index: number): boolean => (rows[index] as Row).room > (given[index] as number)
  const ofService = (index: number): number => (rows[index] as Row).level + (given[index] as number)
  for (let left = count; left > 0; left--) {
    let branch = rows.map((_, index) => index)
    for (const preference of preferences) {
      const values = [...new Set(branch.map((index) => (rows[index] as Row)[preference]))].sort((a, b) => a - b)
      const options = values.map((value) => branch.filter((index) => (rows[index] as Row)[preference] === value))
      const usable = options.filter((option) => option.some(hasRoom))
      const load = (option: readonly number[]): number => option.reduce((sum, index) => sum + ofService(index), 0)
      branch = usable.reduce((best, option) => (load(option) < load(best) ? option : best), usable[0] ?? [])
    }
    const better = (a: number, b: number): number =>
      (rows[a] as Row).penalty - (rows[b] as Row).penalty ||
      ofService(a) - ofService(b) ||
      (rows[a] as Row).total + (given[a] as number) - (rows[b] as Row).total - (given[b] as number) ||
      a - b
    const [best] = branch.filter(hasRoom).sort(better)
    if (best === undefined) return given
    given[best] = (given[best] as number) + 1
  }
  return given
}

function tableOf(rows: readonly Row[]): NodeTable {
  const cluster = new BenchCluster()
  for (const [index, { zone, rack }] of rows.entries()) {
    cluster.node(`n${String(index).padStart(3, '0')}`, { labels: { zone: `z${zone}`, rack: `r${rack}` } })
  }
  const table = new NodeTable(cluster.tables)
  table.ofService.set(rows.map(({ level }) => level))
  table.room.set(rows.map(({ room }) => room))
  table.total.set(rows.map(({ total }) => total))
  table.penalty.set(rows.map(({ penalty }) => penalty))
  return table
}

t.test('water-filling gives every candidate what picking the least one by one would', async () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 12 }), fc.nat(60), (rows, count) => {
      const plain = rows.map((each) => ({ ...each, penalty: 0 }))
      const given = waterFill(
        {
          level: Int32Array.from(plain, ({ level }) => level),
          room: Int32Array.from(plain, ({ room }) => room),
          tie: Int32Array.from(plain, ({ total }) => total),
        },
        Math.min(
          count,
          plain.reduce((sum, { room }) => sum + room, 0),
        ),
      )
      assert.deepEqual([...given], greedy(plain, count, []))
    }),
    { numRuns: 2_000 },
  )
})

for (const preferences of [[], ['zone'], ['zone', 'rack']] as const) {
  t.test(`spreading with ${preferences.length} preferences equals one-by-one greedy, faulty nodes last`, async () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 10 }), fc.nat(40), (rows, count) => {
        const table = tableOf(rows)
        const columns = preferences.map((label) => table.valueColumn({ name: 'label', label }))
        const placeable = Math.min(
          count,
          rows.reduce((sum, { room }) => sum + room, 0),
        )
        spread(table, columns, placeable)
        assert.deepEqual([...table.given], greedy(rows, count, preferences))
      }),
      { numRuns: 400 },
    )
  })
}
