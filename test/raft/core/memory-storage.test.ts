import t from 'tap'
import { MemoryStorage } from '../../../lib/raft/core/index.js'
import { conf, entriesOf, snapshotAt } from './harness.js'

function storage(): MemoryStorage {
  return new MemoryStorage({ snapshot: snapshotAt(3, 3, conf([1])), entries: entriesOf([4, 5], 4) })
}

function terms(from: MemoryStorage): number[] {
  return from.entries(from.firstIndex(), from.lastIndex() + 1, Number.POSITIVE_INFINITY).map(({ term }) => term)
}

t.test('terms and entries outside the window are refused with the side they are on', (t) => {
  const kept = storage()
  t.throws(() => kept.term(2), { code: 'ERR_COMPACTED' })
  t.equal(kept.term(3), 3)
  t.equal(kept.term(5), 5)
  t.throws(() => kept.term(6), { code: 'ERR_UNAVAILABLE' })
  t.throws(() => kept.entries(3, 5, 100), { code: 'ERR_COMPACTED' })
  t.throws(() => kept.entries(4, 7, 100), { code: 'ERR_UNAVAILABLE' })
  t.equal(kept.entries(4, 6, 0).length, 1, 'at least one entry')
  t.end()
})

t.test('appending replaces what overlaps and leaves out what is compacted', (t) => {
  const rows: [from: number, add: number[], terms: number[]][] = [
    [1, [1, 2], [4, 5]],
    [2, [2, 3], [4, 5]],
    [3, [3, 4, 6], [4, 6]],
    [4, [4, 6, 6], [4, 6, 6]],
    [5, [6], [4, 6]],
    [6, [5], [4, 5, 5]],
  ]
  for (const [from, add, expected] of rows) {
    const kept = storage()
    kept.append(entriesOf(add, from))
    t.same(terms(kept), expected, `[${add}] at ${from}`)
  }
  t.throws(() => storage().append(entriesOf([6], 8)), { name: 'SkeinBug' }, 'a gap is a bug')
  t.end()
})

t.test('the commit index of the hard state never falls', (t) => {
  const kept = storage()
  kept.setHardState({ term: 5, vote: 1, commit: 5 })
  kept.setHardState({ term: 6, vote: 0, commit: 4 })
  t.same(kept.initialState().hardState, { term: 6, vote: 0, commit: 5 })
  t.end()
})

t.test('a received snapshot replaces the log, unless it is old', (t) => {
  const kept = storage()
  kept.applySnapshot(snapshotAt(10, 7, conf([1, 2])))
  t.match({ first: kept.firstIndex(), last: kept.lastIndex(), term: kept.term(10) }, { first: 11, last: 10, term: 7 })
  t.same(kept.initialState().confState.voters, [1, 2])
  t.throws(() => kept.applySnapshot(snapshotAt(10, 7, conf([1]))), { code: 'ERR_SNAP_OUT_OF_DATE' })
  t.end()
})

t.test('compaction keeps the entries behind it, and never outruns the snapshot', (t) => {
  const kept = storage()
  t.throws(() => kept.compact(4), { name: 'SkeinBug' }, 'no snapshot has entry 4')
  kept.setSnapshot(snapshotAt(5, 5, conf([1, 2])))
  t.same(terms(kept), [4, 5], 'taking a snapshot drops nothing')
  kept.compact(4)
  t.same(terms(kept), [5])
  t.equal(kept.term(4), 4)
  t.throws(() => kept.compact(4), { code: 'ERR_COMPACTED' })
  t.throws(() => kept.compact(6), { code: 'ERR_UNAVAILABLE' })
  t.throws(() => kept.setSnapshot(snapshotAt(4, 4, conf([1]))), { code: 'ERR_SNAP_OUT_OF_DATE' })
  t.throws(() => kept.setSnapshot(snapshotAt(9, 4, conf([1]))), { code: 'ERR_UNAVAILABLE' })
  t.equal(kept.snapshot().index, 5)
  t.end()
})
