import t from 'tap'
import { Inflights, Progress } from '../../../lib/raft/core/progress.js'

const wide = { maxMessages: 256, maxBytes: Number.POSITIVE_INFINITY }

function progress(match: number, next: number, limits = wide): Progress {
  const made = new Progress(2, next, false, limits)
  made.match = match
  return made
}

t.test('inflights are full at their number of messages', (t) => {
  const inflights = new Inflights({ maxMessages: 3, maxBytes: Number.POSITIVE_INFINITY })
  for (const index of [5, 6, 7]) {
    t.notOk(inflights.full)
    inflights.add(index, 100)
  }
  t.ok(inflights.full)
  t.throws(() => inflights.add(8, 100), { name: 'SkeinBug' })
  inflights.freeUpTo(4)
  t.equal(inflights.count, 3, 'nothing up to 4 is under way')
  inflights.freeUpTo(6)
  t.equal(inflights.count, 1)
  t.equal(inflights.bytes, 100)
  t.end()
})

t.test('inflights are full once their bytes are reached; one message may go over', (t) => {
  const inflights = new Inflights({ maxMessages: 100, maxBytes: 10 })
  inflights.add(1, 9)
  t.notOk(inflights.full)
  inflights.add(2, 50)
  t.ok(inflights.full)
  inflights.freeUpTo(1)
  t.ok(inflights.full, 'the large one is still under way')
  inflights.freeUpTo(2)
  t.match(inflights, { full: false, count: 0, bytes: 0 })
  t.end()
})

t.test('inflights keep their order while the ring turns and grows', (t) => {
  const inflights = new Inflights({ maxMessages: 1000, maxBytes: Number.POSITIVE_INFINITY })
  let added = 0
  let freed = 0
  for (let round = 1; round <= 40; round++) {
    for (let i = 0; i < round; i++) inflights.add(++added, 1)
    freed += Math.floor(round / 2)
    inflights.freeUpTo(freed)
    t.equal(inflights.count, added - freed, `after ${added} sent and ${freed} acknowledged`)
    t.equal(inflights.bytes, added - freed)
  }
  inflights.reset()
  t.match(inflights, { count: 0, bytes: 0, full: false })
  t.end()
})

t.test('probing, one append with entries waits for its answer [SendAppendForProgressProbe]', (t) => {
  const peer = progress(3, 4)
  peer.sentEntries(0, 0)
  t.notOk(peer.paused, 'an empty append does not wait')
  peer.sentEntries(2, 20)
  t.ok(peer.paused)
  t.equal(peer.next, 4, 'a probe sends nothing ahead')
  t.end()
})

t.test('streaming, appends are sent ahead until the window is full [SendAppendForProgressReplicate]', (t) => {
  const peer = progress(3, 4, { maxMessages: 2, maxBytes: 1000 })
  peer.becomeReplicate()
  peer.sentEntries(2, 20)
  t.match(peer, { next: 6, paused: false })
  peer.sentEntries(1, 10)
  t.match(peer, { next: 7, paused: true })
  peer.appendPaused = false // a heartbeat was answered
  peer.sentEntries(0, 0)
  t.match(peer, { next: 7, paused: true }, 'at a full window the next one waits again')
  t.end()
})

t.test(
  'a snapshot under way stops appends; behind it, probing goes on after the snapshot [SendAppendForProgressSnapshot]',
  (t) => {
    const peer = progress(1, 2)
    peer.becomeSnapshot(10)
    t.match(peer, { paused: true, next: 11, pendingSnapshot: 10, sentCommit: 10 })
    t.throws(() => peer.sentEntries(1, 1), { name: 'SkeinBug' })
    peer.becomeProbe()
    t.match(peer, { paused: false, next: 11, pendingSnapshot: 0, match: 1 })
    peer.becomeSnapshot(20)
    peer.abortSnapshot()
    t.match(peer, { next: 2, pendingSnapshot: 0 }, 'one that did not arrive leaves it where it was')
    t.end()
  },
)

t.test('an acknowledgement moves match up, never down, and next ahead of it', (t) => {
  const rows: [index: number, news: boolean, match: number, next: number][] = [
    [2, false, 3, 5],
    [3, false, 3, 5],
    [4, true, 4, 5],
    [5, true, 5, 6],
    [9, true, 9, 10],
  ]
  for (const [index, news, match, next] of rows) {
    const peer = progress(3, 5)
    peer.appendPaused = true
    t.equal(peer.maybeUpdate(index), news, `acknowledged ${index}`)
    t.match(peer, { match, next, appendPaused: !news })
  }
  t.end()
})

t.test('a refusal moves next back to where the logs may meet, never to what is known to match', (t) => {
  type Row = [
    state: 'probe' | 'replicate',
    match: number,
    next: number,
    rejected: number,
    hint: number,
    news: boolean,
    next: number,
  ]
  const rows: Row[] = [
    ['replicate', 5, 10, 5, 5, false, 10], // old: that much is known to be there
    ['replicate', 5, 10, 4, 4, false, 10],
    ['replicate', 5, 10, 9, 9, true, 6],
    ['probe', 0, 0, 0, 0, false, 0],
    ['probe', 0, 10, 5, 5, false, 10], // not the answer to the last probe
    ['probe', 0, 10, 9, 9, true, 9],
    ['probe', 0, 2, 1, 1, true, 1],
    ['probe', 0, 1, 0, 0, true, 1],
    ['probe', 0, 10, 9, 2, true, 3],
    ['probe', 0, 10, 9, 0, true, 1],
    ['probe', 4, 10, 9, 1, true, 5],
  ]
  for (const [state, match, next, rejected, hint, news, expected] of rows) {
    const peer = progress(match, next)
    if (state === 'replicate') {
      peer.becomeReplicate()
      peer.next = next
    }
    t.equal(
      peer.maybeDecreaseTo(rejected, hint),
      news,
      `${state}, match ${match}, next ${next}: refused ${rejected}, hint ${hint}`,
    )
    t.equal(peer.next, expected)
  }
  t.end()
})

t.test('a commit index is told once, and again when what was sent is in doubt', (t) => {
  const peer = progress(3, 4)
  peer.becomeReplicate()
  t.ok(peer.canBumpCommit(2), 'nothing was told yet')
  peer.sentEntries(4, 40)
  peer.sentCommit = 3
  t.notOk(peer.canBumpCommit(3))
  t.ok(peer.canBumpCommit(5))
  peer.sentCommit = 7
  t.notOk(peer.canBumpCommit(9), 'what was told moves it as far as its log goes')
  peer.becomeProbe()
  t.equal(peer.sentCommit, 3, 'the appends may be lost, and the news with them')
  t.end()
})

t.test('at the start of a term nothing is known of a peer', (t) => {
  const peer = progress(3, 9)
  peer.becomeSnapshot(20)
  peer.recentActive = true
  peer.reset(0, 13)
  t.match(peer, {
    match: 0,
    next: 13,
    state: 'StateProbe',
    pendingSnapshot: 0,
    recentActive: false,
    sentCommit: 0,
    paused: false,
  })
  t.end()
})
