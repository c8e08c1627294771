import fc from 'fast-check'
import t from 'tap'
import { isSkeinError, SkeinError } from '../../../lib/base/errors.js'
import { type ConfState, type Entry, type Message, type MessageType, makeMessage } from '../../../lib/raft/core/index.js'
import { decodeFrame, encodeFrame, frameHead } from '../../../lib/raft/runner/index.js'
import { encode } from '../../../lib/wire/index.js'

const refusals = ['ERR_SKEIN_BAD_MESSAGE', 'ERR_SKEIN_WIRE_VERSION', 'ERR_SKEIN_OTHER_CLUSTER'] as const
const head = frameHead('c1u2s3t4e5r6')

const types: readonly MessageType[] = [
  'MsgAppResp',
  'MsgVote',
  'MsgVoteResp',
  'MsgHeartbeat',
  'MsgHeartbeatResp',
  'MsgTimeoutNow',
  'MsgPreVote',
  'MsgPreVoteResp',
]

const id = fc.integer({ min: 1, max: 2 ** 48 - 1 })
const whole = fc.oneof(fc.nat(1000), fc.maxSafeNat())
const data = fc.uint8Array({ maxLength: 300 })
const ids = fc.uniqueArray(id, { maxLength: 5 })
const conf: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
})

const plain = fc
  .tuple(fc.constantFrom(...types), id, id, whole, whole, whole, whole, whole, fc.boolean(), fc.option(data))
  .map(([type, from, to, term, logTerm, index, commit, vote, reject, context]) =>
    makeMessage(type, from, to, Math.max(1, term), { logTerm, index, commit, vote, rejectHint: index, reject, context }),
  )
const append = fc
  .tuple(id, id, fc.nat(1e9), fc.integer({ min: 1, max: 1000 }), fc.array(fc.tuple(data, fc.nat(2)), { maxLength: 20 }))
  .map(([from, to, index, term, items]) => {
    let last = term
    const entries = items.map(([data, rise], i): Entry => {
      last += rise
      return { type: i % 7 === 3 ? 'EntryConfChangeV2' : 'EntryNormal', term: last, index: index + i + 1, data }
    })
    return makeMessage('MsgApp', from, to, last, { index, logTerm: term, entries, commit: index })
  })
const snapshot = fc
  .tuple(id, id, conf, whole, data)
  .map(([from, to, confState, index, data]) =>
    makeMessage('MsgSnap', from, to, 7, { snapshot: { index, term: 5, confState, data } }),
  )
const read = fc
  .tuple(id, id, data)
  .map(([from, to, data]) =>
    makeMessage('MsgReadIndex', from, to, 0, { entries: [{ type: 'EntryNormal', term: 0, index: 0, data }] }),
  )
const messages: fc.Arbitrary<Message[]> = fc.array(fc.oneof(plain, append, snapshot, read), { maxLength: 8 })

t.test('what is encoded is decoded the same', async () => {
  fc.assert(
    fc.property(messages, (list) => {
      const [found, expected] = [decodeFrame(head, encodeFrame(head, list)), list].map((one) => JSON.stringify(one))
      if (found !== expected) throw new Error(`found ${found}`)
    }),
    { numRuns: 300 },
  )
})

t.test('no change of bits makes the decoder do anything but refuse or read well-formed messages', async (t) => {
  let [refused, read] = [0, 0]
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat(), { freq: 3 }),
      (list, flips, cut) => {
        const frame = Buffer.from(encodeFrame(head, list))
        for (const [at, value] of flips) frame[at % frame.length] = value
        const mutated = cut === null ? frame : frame.subarray(0, cut % (frame.length + 1))
        try {
          for (const message of decodeFrame(head, mutated)) checkForm(message)
          read++
        } catch (error) {
          if (!refusals.some((code) => isSkeinError(error, code))) throw error
          refused++
        }
      },
    ),
    { numRuns: 3000 },
  )
  t.ok(refused > 100 && read > 10, `${refused} refused, ${read} read`)
})

function checkForm(m: Message): void {
  for (const value of [m.to, m.from, m.term, m.logTerm, m.index, m.commit, m.vote, m.rejectHint]) {
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`not a whole number: ${value}`)
  }
  if (typeof m.reject !== 'boolean' || (m.context !== null && !(m.context instanceof Uint8Array))) throw new Error('a wrong type')
  m.entries.forEach((entry, i) => {
    if (!(entry.data instanceof Uint8Array) || !Number.isSafeInteger(entry.term)) throw new Error('a wrong entry')
    if (m.type === 'MsgApp' && entry.index !== m.index + 1 + i) throw new Error('a gap between entries')
  })
}

t.test('frames that contradict themselves are refused', async (t) => {
  const row = (changes: Readonly<Record<number, unknown>>) => {
    const fields: unknown[] = [1, 2, 1, 5, 4, 10, 0, 0, 0, false, [[0, 5, 11, null]], null, null]
    for (const [at, value] of Object.entries(changes)) fields[Number(at)] = value
    return Buffer.concat([head, encode([fields])])
  }
  t.equal(decodeFrame(head, row({})).length, 1, 'the row itself is good')
  const bad: [string, Readonly<Record<number, unknown>>][] = [
    ['an unknown type', { 0: 99 }],
    ['a raft id of zero', { 2: 0 }],
    ['a raft id over 48 bits', { 1: 2 ** 48 }],
    ['a negative term', { 3: -1 }],
    ['a term of zero', { 3: 0 }],
    ['a fraction', { 5: 1.5 }],
    ['a number beyond 2^53', { 5: 2 ** 60 }],
    ['entries that leave a gap', { 10: [[0, 5, 12, null]] }],
    ['an entry newer than the message', { 10: [[0, 6, 11, null]] }],
    ['an entry older than the one before', { 10: [[0, 3, 11, null]] }],
    ['an unknown kind of entry', { 10: [[9, 5, 11, null]] }],
    ['data that is text', { 10: [[0, 5, 11, 'text']] }],
    ['a snapshot in an append', { 11: [1, 1, [[1], [], [], [], false], null] }],
    ['a flag that is a number', { 9: 1 }],
    ['a context that is text', { 12: 'text' }],
  ]
  for (const [name, changes] of bad) t.throws(() => decodeFrame(head, row(changes)), { code: 'ERR_SKEIN_BAD_MESSAGE' }, name)
  t.throws(() => decodeFrame(head, Buffer.of(9, 0x90)), { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 2, theirs: 9 } })
  t.throws(() => decodeFrame(head, new Uint8Array(0)), SkeinError)
})

t.test('a frame of another cluster is refused by its name, whatever it says', async (t) => {
  const message = makeMessage('MsgHeartbeat', 1, 2, 3)
  for (const theirs of ['other', 'c1u2s3t4e5r', 'c1u2s3t4e5r66', 'c1u2s3t4e5r7']) {
    t.throws(() => decodeFrame(head, encodeFrame(frameHead(theirs), [message])), {
      code: 'ERR_SKEIN_OTHER_CLUSTER',
      detail: { ours: 'c1u2s3t4e5r6', theirs },
    })
  }
  t.throws(() => decodeFrame(head, head.subarray(0, 5)), { code: 'ERR_SKEIN_BAD_MESSAGE' }, 'a name cut short')
})

t.test('messages to the own storage threads never become frames', async (t) => {
  t.throws(() => encodeFrame(head, [makeMessage('MsgStorageAppend', 1, 2, 3)]), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})
