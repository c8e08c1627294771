import t from 'tap'
import type { Entry } from '../../../lib/raft/core/state.js'
import type { SnapshotMark, WalBatch } from '../../../lib/raft/wal/batch.js'
import { Replay, ReplayError, WalHead } from '../../../lib/raft/wal/replay.js'

const conf = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }

function run(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => {
    return { type: 'EntryNormal', term, index: from + at, data: new Uint8Array(0) }
  })
}

function mark(kind: SnapshotMark['kind'], index: number): SnapshotMark {
  return { kind, index, term: 1, confState: conf }
}

function contentsOf(...batches: readonly WalBatch[]) {
  const replay = new Replay()
  for (const batch of batches) replay.apply(batch)
  return replay.contents()
}

t.test('records that are whole and do not add up are refused in words', (t) => {
  const rows: readonly [string, readonly WalBatch[], RegExp][] = [
    [
      'committed entries behind the last one',
      [{ entries: run(1, 3), hardState: { term: 1, vote: 0, commit: 5 } }],
      /entries 4 to 5 were committed and are missing/,
    ],
    [
      'a gap behind the snapshot',
      [{ snapshot: mark('taken', 4), entries: run(7, 9), hardState: { term: 1, vote: 0, commit: 4 } }],
      /entries 5 to 6 are missing/,
    ],
    [
      'entries that begin nowhere',
      [{ entries: run(3, 4), hardState: { term: 1, vote: 0, commit: 0 } }],
      /entries 1 to 2 are missing/,
    ],
    [
      'a snapshot of what was never committed',
      [{ entries: run(1, 6) }, { snapshot: mark('taken', 5), hardState: { term: 1, vote: 0, commit: 3 } }],
      /the snapshot at 5 is ahead of the commit index 3/,
    ],
  ]
  for (const [name, batches, message] of rows) {
    t.throws(() => contentsOf(...batches), message, name)
    t.throws(() => contentsOf(...batches), ReplayError, name)
  }
  t.end()
})

t.test('an installed snapshot ends what was there, a taken one keeps what follows it', (t) => {
  const hardState = { term: 1, vote: 0, commit: 5 }
  const indexes = (kind: SnapshotMark['kind']) =>
    contentsOf({ entries: run(1, 8), hardState }, { snapshot: mark(kind, 5) }).entries.map(({ index }) => index)
  t.same(indexes('taken'), [6, 7, 8])
  t.same(indexes('installed'), [])
  t.end()
})

t.test('what may not follow the log is a bug of ours, and is not written', (t) => {
  const rows: readonly [WalBatch, RegExp][] = [
    [{ entries: run(7, 8) }, /follow the log without a gap/],
    [{ hardState: { term: 1, vote: 0, commit: 3 } }, /terms never fall/],
    [{ hardState: { term: 2, vote: 1, commit: 6 } }, /what is committed is in the log/],
    [{ snapshot: mark('taken', 9) }, /taken of entries in the log/],
    [{ snapshot: mark('taken', 5) }, /never behind the snapshot/],
  ]
  for (const [batch, message] of rows) {
    const head = new WalHead()
    head.advance({ entries: run(1, 5), hardState: { term: 2, vote: 1, commit: 3 } })
    t.throws(() => head.advance(batch), { name: 'SkeinBug', message })
  }
  t.end()
})
