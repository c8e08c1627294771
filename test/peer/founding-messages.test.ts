import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import {
  type Beginning,
  packBeginning,
  packMemory,
  readBeginning,
  readDecided,
  readMeetAnswer,
  readMeetRequest,
  readMemory,
} from '../../lib/peer/founding-messages.js'
import { decode, encode } from '../../lib/wire/index.js'

const member = {
  id: 'aaaaaaaaaaaa',
  name: 'm1',
  address: '10.0.0.1:7946',
  availability: 'active',
  labels: { zone: 'a' },
  raftId: 2 ** 48 - 1,
  certificate: Uint8Array.of(1, 2),
} as const
const beginning: Beginning = {
  cluster: 'bbbbbbbbbbbb',
  dataKey: new Uint8Array(32).fill(7),
  access: {
    roots: [
      { certificate: Uint8Array.of(3), cross: Uint8Array.of(4), key: Uint8Array.of(5), state: 'trusted' },
      { certificate: Uint8Array.of(6), cross: undefined, key: undefined, state: 'retired' },
    ],
    tokens: { manager: Uint8Array.of(8), worker: Uint8Array.of(9) },
    revoked: [],
    keyring: undefined,
  },
  members: [member],
}
const ballot = { round: 3, id: 'aaaaaaaaaaaa' }
const value = packBeginning(beginning)

t.test('a beginning, and a memory of it, come back as they were', async (t) => {
  t.strictSame(readBeginning(value), beginning)
  const memory = { promised: ballot, accepted: { ballot, value: new Uint8Array(value) }, decided: true }
  const packed = packMemory('root', memory)
  t.strictSame(readMemory('root', packed), memory)
  t.strictSame(readDecided(packed), beginning)
  t.equal(readDecided(packMemory('root', { ...memory, decided: false })), undefined)
})

t.test('what was promised under another token binds nobody', async (t) => {
  t.equal(readMemory('other', packMemory('root', { promised: ballot, accepted: undefined, decided: false })), undefined)
})

const request = {
  secret: 's',
  expect: 3,
  from: { ...member, publicKey: Uint8Array.of(1) },
  known: ['a:1'],
  question: { type: 'accept', ballot, value },
}
const answer = { from: undefined, known: [], answer: { type: 'promised', ballot, accepted: { ballot, value } } }

t.test('spoilt questions, answers and beginnings are read or refused as bad messages, and nothing else happens', async (t) => {
  const readers: readonly (readonly [Uint8Array, (bytes: Uint8Array) => unknown])[] = [
    [encode(request), (bytes) => readMeetRequest(decode(bytes, 1e6))],
    [encode(answer), (bytes) => readMeetAnswer(decode(bytes, 1e6))],
    [value, readBeginning],
  ]
  let refused = 0
  for (const [whole, read] of readers) {
    t.doesNotThrow(() => read(whole))
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, byte, length) => {
        const spoilt = Uint8Array.from(whole)
        spoilt[at] = byte
        try {
          read(spoilt.subarray(0, Math.max(length, at + 1)))
          return true
        } catch (error) {
          refused++
          return isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')
        }
      }),
      { numRuns: 1_000 },
    )
  }
  t.ok(refused > 1_000, `${refused} of 3,000 were refused`)
})

t.test('bounds: a value, a list of addresses and a name beyond them are refused', async (t) => {
  const tooLong = [
    { ...request, question: { ...request.question, value: new Uint8Array(256 * 1024 + 1) } },
    { ...request, known: Array.from({ length: 65 }, (_, at) => `a:${at}`) },
    { ...request, from: { ...request.from, name: 'x'.repeat(64) } },
    { ...request, secret: 'x'.repeat(65) },
  ]
  for (const each of tooLong) t.throws(() => readMeetRequest(each), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})
