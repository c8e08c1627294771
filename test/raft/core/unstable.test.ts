import t from 'tap'
import { Unstable } from '../../../lib/raft/core/unstable.js'
import { conf, entriesOf, snapshotAt } from './harness.js'

/** Entries of these terms from 5 on, the first `inProgress` of them handed out. */
function unstableOf(terms: readonly number[], inProgress = 0): Unstable {
  const unstable = new Unstable(5)
  const entries = entriesOf(terms, 5)
  if (inProgress > 0) {
    unstable.truncateAndAppend(entries.slice(0, inProgress))
    unstable.acceptInProgress()
  }
  if (inProgress < entries.length) unstable.truncateAndAppend(entries.slice(inProgress))
  return unstable
}

function terms(unstable: Unstable): number[] {
  return unstable.slice(unstable.offset, unstable.offset + unstable.length).map(({ term }) => term)
}

function next(unstable: Unstable): number[] {
  return unstable.nextEntries().map(({ index }) => index)
}

t.test('appending replaces from the first new index on; what is replaced is written again [UnstableTruncateAndAppend]', (t) => {
  type Row = [had: number[], inProgress: number, from: number, add: number[], offset: number, terms: number[], next: number[]]
  const rows: Row[] = [
    [[1], 0, 6, [1, 1], 5, [1, 1, 1], [5, 6, 7]],
    [[1], 1, 6, [1, 1], 5, [1, 1, 1], [6, 7]],
    [[1], 1, 5, [2, 2], 5, [2, 2], [5, 6]],
    [[1], 1, 4, [2, 2, 2], 4, [2, 2, 2], [4, 5, 6]],
    [[1, 1, 1], 3, 6, [2], 5, [1, 2], [6]],
    [[1, 1, 1], 2, 7, [2, 2], 5, [1, 1, 2, 2], [7, 8]],
    [[1, 1, 1], 1, 7, [2], 5, [1, 1, 2], [6, 7]],
  ]
  for (const [had, inProgress, from, add, offset, expected, handed] of rows) {
    const unstable = unstableOf(had, inProgress)
    unstable.truncateAndAppend(entriesOf(add, from))
    t.same([unstable.offset, terms(unstable), next(unstable)], [offset, expected, handed], `[${add}] at ${from} over [${had}]`)
  }
  t.throws(() => unstableOf([1]).truncateAndAppend(entriesOf([1], 8)), { name: 'SkeinBug' }, 'a gap is a bug')
  t.end()
})

t.test('a finished write makes entries stable only if they are still those that were written [UnstableStableTo]', (t) => {
  const rows: [had: number[], index: number, term: number, offset: number, left: number[]][] = [
    [[1], 5, 1, 6, []],
    [[1, 2], 5, 1, 6, [2]],
    [[1, 2], 6, 2, 7, []],
    [[2], 5, 1, 5, [2]], // replaced by an entry of another term meanwhile
    [[1, 3], 6, 2, 5, [1, 3]],
    [[1], 4, 1, 5, [1]], // long stable
    [[1], 6, 1, 5, [1]], // cut off meanwhile
    [[], 5, 1, 5, []],
  ]
  for (const [had, index, term, offset, left] of rows) {
    const unstable = unstableOf(had, had.length)
    unstable.stableTo(index, term)
    t.same([unstable.offset, terms(unstable)], [offset, left], `[${had}] written to ${index}, term ${term}`)
    t.same(next(unstable), [], 'what was handed out is not handed out again')
  }
  t.end()
})

t.test('stable entries that were never handed out are not handed out after', (t) => {
  const unstable = unstableOf([1, 1, 1])
  unstable.stableTo(6, 1)
  t.same(next(unstable), [7])
  t.end()
})

t.test('a snapshot is handed out once, and forgotten only when that very snapshot is stable', (t) => {
  const unstable = unstableOf([1, 1])
  unstable.restore(snapshotAt(20, 3, conf([1])))
  t.match(unstable, { offset: 21, length: 0 })
  t.equal(unstable.lastIndex(), 20)
  t.equal(unstable.term(20), 3)
  t.equal(unstable.term(5), undefined)
  t.equal(unstable.nextSnapshot?.index, 20)
  unstable.acceptInProgress()
  t.equal(unstable.nextSnapshot, null)
  unstable.stableSnapshotTo(10)
  t.equal(unstable.snapshot?.index, 20, 'an older one was meant')
  unstable.stableTo(20, 3)
  t.equal(unstable.snapshot?.index, 20, 'an entry was meant')
  unstable.stableSnapshotTo(20)
  t.equal(unstable.snapshot, null)
  t.equal(unstable.lastIndex(), undefined)
  t.end()
})

t.test('entries of a message stay as they were when the log behind them is cut', (t) => {
  const unstable = new Unstable(5)
  const message = entriesOf([1, 1, 1], 5)
  unstable.truncateAndAppend(message)
  unstable.truncateAndAppend(entriesOf([2], 6))
  t.same(
    message.map(({ term }) => term),
    [1, 1, 1],
  )
  t.end()
})
