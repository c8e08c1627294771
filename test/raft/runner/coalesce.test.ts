import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import { APPEND_THREAD, type Entry, MemoryStorage, type Message, makeMessage, RawNode } from '../../../lib/raft/core/index.js'
import { coalesce, latestAcknowledgements } from '../../../lib/raft/runner/coalesce.js'
import { voters } from './cluster.js'

function entries(from: number, count: number, term = 1): readonly Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'EntryNormal',
    term,
    index: from + i,
    data: Buffer.from(`${term}/${from + i}`),
  }))
}

function append(index: number, count: number, commit: number, { logTerm = 1, term = 1, to = 2 } = {}): Message {
  return makeMessage('MsgApp', 1, to, term, { index, logTerm, entries: entries(index + 1, count, term), commit })
}

const ack = (index: number, { term = 1, to = 1, reject = false } = {}): Message =>
  makeMessage('MsgAppResp', 2, to, term, { index, reject })

const brief = ({ type, index, entries: { length }, commit }: Message) => [type, index, length, commit]

t.test('appends that continue one another become one, with the newest commit index', async (t) => {
  const result = coalesce([append(4, 1, 3), append(5, 2, 3), append(7, 0, 6), append(7, 1, 7)])
  t.strictSame(result.map(brief), [['MsgApp', 4, 4, 7]])
  t.strictSame(
    result[0]?.entries.map(({ index }) => index),
    [5, 6, 7, 8],
  )
})

t.test('appends are kept apart by a gap, an overlap, a term, a falling commit index, or a message between them', async (t) => {
  const first = append(4, 1, 3)
  for (const next of [
    append(6, 1, 3),
    append(4, 1, 3),
    append(5, 1, 3, { term: 2 }),
    append(5, 1, 3, { logTerm: 2 }),
    append(5, 1, 2),
  ]) {
    t.strictSame(coalesce([first, next]), [first, next])
  }
  const beat = makeMessage('MsgHeartbeat', 1, 2, 1, { commit: 3 })
  t.strictSame(coalesce([first, beat, append(5, 1, 3)]).length, 3)
})

t.test('a merged append stays within its bound, and one message alone is passed on as it is', async (t) => {
  const large = (index: number): Message => ({
    ...append(index, 1, 0),
    entries: [{ type: 'EntryNormal', term: 1, index: index + 1, data: Buffer.alloc(20 * 1024) }],
  })
  t.strictSame(
    coalesce([large(1), large(2), large(3), large(4), large(5)]).map((m) => m.entries.length),
    [2, 2, 1],
  )
  const only = [append(4, 1, 3)]
  t.equal(coalesce(only), only)
})

t.test('of acknowledgements the last one leaves; refusals, and those that take something back, all do', async (t) => {
  t.strictSame(coalesce([ack(3), ack(4), ack(4), ack(9)]), [ack(9)])
  t.strictSame(coalesce([ack(3), ack(4, { reject: true }), ack(5)]).length, 3)
  t.strictSame(coalesce([ack(5), ack(4)]).length, 2)
  t.strictSame(coalesce([ack(3), ack(4, { term: 2 })]).length, 2)
})

t.test('promises of one write: only the newest acknowledgement to each peer and term, the rest in order', async (t) => {
  const vote = makeMessage('MsgVoteResp', 2, 1, 1)
  const written = makeMessage('MsgStorageAppendResp', APPEND_THREAD, 2, 1, { index: 4 })
  const result = latestAcknowledgements([
    ack(3),
    written,
    vote,
    ack(4, { to: 3 }),
    ack(5),
    ack(2, { reject: true }),
    ack(6, { term: 2 }),
  ])
  t.strictSame(result, [written, vote, ack(4, { to: 3 }), ack(5), ack(2, { reject: true }), ack(6, { term: 2 })])
})

/** A follower that takes messages, writes at once, and remembers what it acknowledged last. */
function follower() {
  const storage = new MemoryStorage({ snapshot: { index: 1, term: 1, confState: voters(1, 2, 3), data: new Uint8Array(0) } })
  const node = new RawNode({
    id: 2,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    asyncStorageWrites: true,
    random: seededRandom(1),
  })
  let acknowledged = 0
  return {
    take(messages: readonly Message[]): void {
      for (const message of messages) node.step(message)
      while (node.hasReady()) {
        for (const out of node.ready().messages) {
          if (out.to === APPEND_THREAD) storage.append(out.entries)
          for (const response of out.responses) {
            if (response.to === 2) node.step(response)
            else if (response.type === 'MsgAppResp' && !response.reject) acknowledged = Math.max(acknowledged, response.index)
          }
        }
      }
    },
    state: () => ({
      commit: node.basicStatus().commit,
      acknowledged,
      log: storage.entries(2, storage.lastIndex() + 1, Number.POSITIVE_INFINITY).map(({ term, index }) => `${term}/${index}`),
    }),
  }
}

t.test('a follower ends in the same state with the messages of a leader merged or one by one', async (t) => {
  const message = fc.record({ count: fc.nat(3), commits: fc.boolean(), lost: fc.boolean() })
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 30 }), (steps) => {
      const sent: Message[] = []
      let [last, commit] = [1, 1]
      for (const { count, commits, lost } of steps) {
        if (commits) commit = last
        if (!lost) sent.push(append(last, count, commit))
        last += count
      }
      const [merged, single] = [follower(), follower()]
      merged.take(coalesce(sent))
      single.take(sent)
      t.strictSame(merged.state(), single.state())
    }),
  )
})
