import t from 'tap'
import { MemoryStorage, type RaftOptions, RawNode, resolveRaftOptions } from '../../../lib/raft/core/index.js'
import { conf, entriesOf, snapshotAt } from './harness.js'

const good: RaftOptions = { id: 1, electionTick: 10, heartbeatTick: 1, storage: new MemoryStorage() }

t.test('every option out of its range is refused by name', (t) => {
  const rows: [keyof RaftOptions, unknown][] = [
    ['id', 0],
    ['id', -1],
    ['id', 2 ** 48],
    ['id', 1.5],
    ['heartbeatTick', 0],
    ['electionTick', 1],
    ['electionTick', Number.NaN],
    ['applied', -1],
    ['maxInflightMsgs', 0],
    ['maxInflightBytes', 10],
    ['maxSizePerMsg', -1],
    ['maxCommittedSizePerReady', 0],
    ['maxUncommittedEntriesSize', Number.NaN],
    ['readOnlyOption', 'fast'],
    ['readOnlyOption', 'lease'],
    ['preVote', 'yes'],
    ['numberedHeartbeats', 1],
    ['storage', {}],
    ['random', 0.5],
  ]
  for (const [option, got] of rows) {
    t.throws(() => resolveRaftOptions({ ...good, [option]: got }), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      message: new RegExp(`^${option}: expected .*, got `),
      detail: { option },
    })
  }
  t.end()
})

t.test('an option left out has its documented default', (t) => {
  const { id, ...defaults } = resolveRaftOptions(good)
  t.match(defaults, {
    maxSizePerMsg: 262_144,
    maxCommittedSizePerReady: 1_048_576,
    maxUncommittedEntriesSize: 8_388_608,
    maxInflightMsgs: 256,
    maxInflightBytes: 4_194_304,
    asyncStorageWrites: false,
    checkQuorum: false,
    preVote: false,
    readOnlyOption: 'safe',
    stepDownOnRemoval: false,
  })
  t.equal(resolveRaftOptions({ ...good, maxSizePerMsg: 2 ** 30 }).maxInflightBytes, 2 ** 30, 'a window holds a message')
  t.end()
})

t.test('a state machine that the log cannot continue is refused at the start', (t) => {
  const hardState = { term: 2, vote: 0, commit: 12 }
  const storage = new MemoryStorage({ snapshot: snapshotAt(10, 1, conf([1])), entries: entriesOf([1, 1, 2], 11), hardState })
  for (const applied of [9, 14]) {
    t.throws(() => new RawNode({ ...good, storage, applied }), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      message: /^applied: expected 10 to 13/,
    })
  }
  const node = new RawNode({ ...good, storage, applied: 11 })
  t.same(
    node.ready().committedEntries.map(({ index }) => index),
    [12],
    'what is applied is not handed out again',
  )
  const ahead = new RawNode({ ...good, storage, applied: 13 })
  t.match(ahead.basicStatus(), { applied: 13, commit: 13 }, 'what is applied is committed, whatever the hard state remembers')
  t.notOk(ahead.hasReady())
  t.end()
})

t.test('a log shorter than what is known to be committed stops the peer', (t) => {
  const storage = new MemoryStorage({ entries: entriesOf([1, 1]), hardState: { term: 1, vote: 0, commit: 5 } })
  t.throws(() => new RawNode({ ...good, storage }), { name: 'SkeinBug', message: /commit index 5.*ends at 2/ })
  t.end()
})
