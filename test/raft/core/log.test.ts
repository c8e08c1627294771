import fc from 'fast-check'
import t from 'tap'
import { entrySizeBytes, limitSize } from '../../../lib/raft/core/entries.js'
import { RaftLog } from '../../../lib/raft/core/log.js'
import { MemoryStorage } from '../../../lib/raft/core/memory-storage.js'
import { conf, entriesOf, entry, snapshotAt } from './harness.js'

const ANY_SIZE = Number.POSITIVE_INFINITY

interface Start {
  readonly stable?: readonly number[]
  readonly unstable?: readonly number[]
  readonly snapshotIndex?: number
  readonly applyUnstable?: boolean
  readonly maxApplyingBytes?: number
}

/** A log with these terms in storage and then these beside it, behind a snapshot of term 1. */
function logOf({
  stable = [],
  unstable = [],
  snapshotIndex = 0,
  applyUnstable = true,
  maxApplyingBytes = ANY_SIZE,
}: Start): RaftLog {
  const snapshot = snapshotAt(snapshotIndex, snapshotIndex === 0 ? 0 : 1, conf([1]))
  const storage = new MemoryStorage({ snapshot, entries: entriesOf(stable, snapshotIndex + 1) })
  const log = new RaftLog(storage, { maxApplyingBytes, applyUnstable })
  log.append(entriesOf(unstable, snapshotIndex + stable.length + 1))
  return log
}

function termsOf(log: RaftLog): number[] {
  return log.entriesFrom(log.firstIndex(), ANY_SIZE).map(({ term }) => term)
}

t.test('appending takes what is new, replaces what conflicts, and leaves what is there', (t) => {
  type Row = [
    prevTerm: number,
    prevIndex: number,
    sent: number[],
    commit: number,
    last: number | undefined,
    committed: number,
    terms: number[],
  ]
  const rows: Row[] = [
    // not matching: nothing happens
    [2, 3, [4], 3, undefined, 1, [1, 2, 3]],
    [3, 4, [4], 3, undefined, 1, [1, 2, 3]],
    // matching at the end
    [3, 3, [], 3, 3, 3, [1, 2, 3]],
    [3, 3, [], 4, 3, 3, [1, 2, 3]],
    [3, 3, [4], 4, 4, 4, [1, 2, 3, 4]],
    [3, 3, [4], 3, 4, 3, [1, 2, 3, 4]],
    [3, 3, [4, 4], 5, 5, 5, [1, 2, 3, 4, 4]],
    // no commit past the last NEW entry: what lies behind it may differ from the leader's log
    [2, 2, [], 3, 2, 2, [1, 2, 3]],
    [1, 1, [2], 3, 2, 2, [1, 2, 3]],
    [0, 0, [], 3, 0, 1, [1, 2, 3]],
    // the commit index never falls
    [3, 3, [4], 0, 4, 1, [1, 2, 3, 4]],
    // matching in the middle: a duplicate cuts nothing off
    [1, 1, [2], 1, 2, 1, [1, 2, 3]],
    [0, 0, [1, 2], 2, 2, 2, [1, 2, 3]],
    // conflicts are replaced from where they begin
    [2, 2, [4], 3, 3, 3, [1, 2, 4]],
    [1, 1, [4], 2, 2, 2, [1, 4]],
    [1, 1, [4, 4, 4], 2, 4, 2, [1, 4, 4, 4]],
  ]
  for (const [prevTerm, prevIndex, sent, commit, last, committed, terms] of rows) {
    for (const stableCount of [0, 2, 3]) {
      const log = logOf({ stable: [1, 2, 3].slice(0, stableCount), unstable: [1, 2, 3].slice(stableCount) })
      log.commitTo(1)
      const got = log.maybeAppend({ prevIndex, prevTerm, entries: entriesOf(sent, prevIndex + 1) }, commit)
      t.same([got, log.committed, termsOf(log)], [last, committed, terms], `terms [${sent}] after ${prevIndex}, commit ${commit}`)
    }
  }
  t.end()
})

t.test('an entry that conflicts with a committed one stops the peer', (t) => {
  const log = logOf({ unstable: [1, 2, 3] })
  log.commitTo(2)
  t.throws(() => log.maybeAppend({ prevIndex: 1, prevTerm: 1, entries: entriesOf([4], 2) }, 2), { name: 'SkeinBug' })
  t.throws(() => log.append(entriesOf([4], 2)), { name: 'SkeinBug' })
  t.throws(() => log.commitTo(4), { name: 'SkeinBug', message: /was it truncated or lost/ })
  t.end()
})

t.test('terms are known from just before the first entry to the last', (t) => {
  const log = logOf({ snapshotIndex: 100, stable: [1, 2], unstable: [3] })
  t.same(
    [99, 100, 101, 102, 103, 104].map((index) => log.term(index)),
    [undefined, 1, 1, 2, 3, undefined],
  )
  log.restore(snapshotAt(200, 5, conf([1])))
  t.same(
    [102, 199, 200, 201].map((index) => log.term(index)),
    [undefined, undefined, 5, undefined],
    'after a restored snapshot, what storage has no longer counts',
  )
  t.match({ first: log.firstIndex(), last: log.lastIndex(), committed: log.committed }, { first: 201, last: 200, committed: 200 })
  t.end()
})

t.test('the guess where logs meet skips whole terms, and stops where ours are unknown', (t) => {
  const rows: [terms: number[], index: number, term: number, expected: [index: number, term: number]][] = [
    [[2, 2, 2], 3, 3, [3, 2]],
    [[2, 2, 2], 3, 2, [3, 2]],
    [[2, 2, 2], 3, 1, [0, 0]],
    [[1, 2, 2], 3, 1, [1, 1]],
    [[1, 3, 4, 6, 6], 5, 5, [3, 4]],
    [[1, 3, 4, 6, 6], 3, 3, [2, 3]],
    [[1, 3], 7, 2, [7, 0]], // past the end: perhaps
  ]
  for (const [terms, index, term, expected] of rows) {
    const hint = logOf({ stable: terms }).findConflictByTerm(index, term)
    t.same([hint.index, hint.term], expected, `terms [${terms}] at ${index}, term ${term}`)
  }
  const compacted = logOf({ snapshotIndex: 10, stable: [3, 3] })
  t.same(compacted.findConflictByTerm(12, 2), { index: 10, term: 1 })
  t.same(compacted.findConflictByTerm(12, 0), { index: 9, term: 0 }, 'compacted away: perhaps')
  t.end()
})

t.test('only an entry of the given term is committed by counting', (t) => {
  const log = logOf({ stable: [1, 1, 2] })
  t.notOk(log.maybeCommit(2, 2), 'an entry of an older term is not')
  t.equal(log.committed, 0)
  t.ok(log.maybeCommit(3, 2))
  t.notOk(log.maybeCommit(3, 2), 'and no entry twice')
  t.notOk(log.maybeCommit(Number.POSITIVE_INFINITY, 2), 'nor by the agreement of nobody')
  t.end()
})

t.test('the later last term is more up to date, then the longer log', (t) => {
  const log = logOf({ stable: [1, 2, 3] })
  const rows: [index: number, term: number, upToDate: boolean][] = [
    [2, 4, true],
    [3, 4, true],
    [4, 2, false],
    [3, 3, true],
    [4, 3, true],
    [2, 3, false],
  ]
  for (const [index, term, upToDate] of rows) t.equal(log.isUpToDate(index, term), upToDate, `${term} at ${index}`)
  t.end()
})

t.test('with asynchronous storage only entries that are stable are applied', (t) => {
  const storage = new MemoryStorage({ entries: entriesOf([1]) })
  const log = new RaftLog(storage, { maxApplyingBytes: ANY_SIZE, applyUnstable: false })
  const indexes = () => log.nextCommitted().map(({ index }) => index)
  log.append(entriesOf([1, 1], 2))
  log.commitTo(3)
  t.same(indexes(), [1], 'committed by others, and not yet on this disk')
  storage.append(entriesOf([1], 2))
  log.unstable.stableTo(2, 1)
  t.same(indexes(), [1, 2])
  const sync = logOf({ stable: [1], unstable: [1, 1] })
  sync.commitTo(3)
  t.equal(sync.nextCommitted().length, 3, 'with synchronous storage the caller writes before it applies')
  t.end()
})

t.test('entries are handed out to be applied once, within the bound of what is under way', (t) => {
  const size = entrySizeBytes(entry(1, 1))
  const log = logOf({ stable: [1, 1, 1, 1, 1], maxApplyingBytes: 2 * size })
  log.commitTo(5)
  const take = () => {
    const entries = log.nextCommitted()
    if (entries.length > 0) log.acceptApplying(entries.at(-1)!.index, entries.length * size)
    return entries.map(({ index }) => index)
  }
  t.same(take(), [1, 2])
  t.notOk(log.hasNextCommitted)
  t.same(take(), [], 'the bound is reached')
  log.appliedTo(1, size)
  t.same(take(), [3], 'one applied, one more')
  log.appliedTo(3, 2 * size)
  t.same(take(), [4, 5])
  log.appliedTo(5, 2 * size)
  t.same(take(), [])
  t.equal(log.applied, 5)
  t.end()
})

t.test('an entry larger than the bound is applied alone', (t) => {
  const log = logOf({ stable: [1, 1], maxApplyingBytes: 1 })
  log.commitTo(2)
  t.same(
    log.nextCommitted().map(({ index }) => index),
    [1],
  )
  log.acceptApplying(1, 16)
  t.notOk(log.hasNextCommitted)
  log.appliedTo(1, 16)
  t.ok(log.hasNextCommitted)
  t.end()
})

t.test('nothing is applied while a snapshot waits to be', (t) => {
  const log = logOf({ stable: [1] })
  log.restore(snapshotAt(10, 2, conf([1])))
  log.append(entriesOf([2], 11))
  log.commitTo(11)
  t.notOk(log.hasNextCommitted)
  log.unstable.stableSnapshotTo(10)
  t.equal(log.hasSnapshotPending, false)
  t.end()
})

t.test('entries come in one piece from storage and beside it, within the bound', (t) => {
  const size = entrySizeBytes(entry(1, 1))
  const counts = fc.tuple(fc.nat(5), fc.nat(5)).filter(([stable, unstable]) => stable + unstable > 0)
  fc.assert(
    fc.property(counts, fc.nat(), fc.nat(), fc.integer({ min: 0, max: 12 }), ([stable, unstable], a, b, fit) => {
      const log = logOf({ stable: Array(stable).fill(1), unstable: Array(unstable).fill(1), snapshotIndex: 7 })
      const all = entriesOf(Array(stable + unstable).fill(1), 8)
      const lo = 8 + (a % all.length)
      const hi = lo + (b % (8 + all.length - lo + 1))
      const expected = limitSize(
        all.filter(({ index }) => index >= lo && index < hi),
        fit * size,
      )
      const got = log.slice(lo, hi, fit * size)
      return JSON.stringify(got) === JSON.stringify(expected)
    }),
  )
  t.pass('as a slice of the whole')
  t.end()
})

t.test('pages are visited one by one, and no further than needed', (t) => {
  const log = logOf({ stable: [1, 1, 1, 2, 3], maxApplyingBytes: 20 })
  const seen: number[] = []
  const found = log.some(2, 6, ({ index, term }) => {
    seen.push(index)
    return term === 2
  })
  t.ok(found)
  t.same(seen, [2, 3, 4])
  t.notOk(
    log.some(6, 6, () => true),
    'an empty range has none',
  )
  t.end()
})

t.test('a size limit keeps the longest prefix within it, and at least one entry', (t) => {
  const entries = [entry(1, 1, 'aaaa'), entry(1, 2, 'bb'), entry(1, 3, 'c')]
  const [first, second, third] = entries.map(entrySizeBytes) as [number, number, number]
  const rows: [maxBytes: number, count: number][] = [
    [0, 1],
    [first - 1, 1],
    [first, 1],
    [first + second - 1, 1],
    [first + second, 2],
    [first + second + third, 3],
    [ANY_SIZE, 3],
  ]
  for (const [maxBytes, count] of rows) t.equal(limitSize(entries, maxBytes).length, count, `${maxBytes} bytes`)
  t.same(limitSize([], 10), [])
  t.end()
})
