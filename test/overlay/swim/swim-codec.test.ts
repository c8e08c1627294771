import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../../lib/base/errors.js'
import type { NodeId } from '../../../lib/base/ids.js'
import { coordinateMaxMs } from '../../../lib/overlay/swim/coordinate.js'
import type { MemberRecord } from '../../../lib/overlay/swim/member.js'
import type { Packet, SwimMessage } from '../../../lib/overlay/swim/messages.js'
import { packetBytes } from '../../../lib/overlay/swim/record-bytes.js'
import { decodePacket, encodePacket } from '../../../lib/overlay/swim/swim-codec.js'

const id = fc.stringMatching(/^[0-9a-z]{12}$/) as fc.Arbitrary<NodeId>
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const from1 = fc.integer({ min: 1, max: 0xffff_ffff })
const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: 0 })
const near = fc.float({ noNaN: true, min: 0, max: coordinateMaxMs })
/** Objects like any other: fast-check also makes some without a prototype. */
const shape: typeof fc.record = ((fields: object) => fc.record(fields, { noNullPrototype: true })) as never
const saw = fc.constantFrom('silent', 'accepting', 'refused')
const profile = shape({
  version: u32,
  address: fc.stringMatching(/^[a-z0-9.-]{1,50}:[0-9]{1,4}$/),
  lanes: fc.constantFrom('both', 'stream'),
  meta: fc.uint8Array({ maxLength: 512 }),
})
const record: fc.Arbitrary<MemberRecord> = shape({
  id,
  epoch: from1,
  incarnation: from1,
  state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  profileVersion: u32,
  profile: fc.option(profile, { nil: undefined }),
  accusations: fc.array(shape({ by: id, saw }), { maxLength: 5 }),
}).map((each) =>
  each.profile === undefined ? each : { ...each, profileVersion: each.profile.version },
) as fc.Arbitrary<MemberRecord>
const brief = record.map(({ id, epoch, incarnation, state, profileVersion }) => ({
  id,
  epoch,
  incarnation,
  state,
  profileVersion,
}))
const coordinate = shape({ position: fc.array(near, { minLength: 8, maxLength: 8 }), heightMs: near, error: float })
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)
const message: fc.Arbitrary<SwimMessage> = fc.oneof(
  shape({ type: type('ping'), seq: u32, digest: u32 }),
  shape({ type: type('ack'), seq: u32, digest: u32, coordinate }),
  shape({ type: type('ping-req'), seq: u32, target: id, remainingMs: fc.integer({ min: 0, max: 65_535 }) }),
  shape({ type: type('heard'), seq: u32 }),
  shape({ type: type('nack'), seq: u32 }),
  shape({ type: type('gossip') }),
  shape({ type: type('share') }),
  shape({
    type: type('sync'),
    buckets: fc.integer({ min: 0, max: 8 }).chain((power) => fc.uint32Array({ minLength: 2 ** power, maxLength: 2 ** power })),
  }),
  shape({
    type: type('briefs'),
    count: fc.constantFrom(16, 256, 2 ** 15),
    buckets: fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 16 }),
    briefs: fc.array(brief, { maxLength: 20 }),
  }),
  shape({ type: type('pull'), ids: fc.array(id, { maxLength: 20 }) }),
)
const packet: fc.Arbitrary<Packet> = shape({
  to: id,
  from: id,
  epoch: from1,
  incarnation: from1,
  message,
  records: fc.array(record, { maxLength: 12 }),
})

t.test('every packet reads back as it was written, in exactly the bytes that were announced', async (t) => {
  fc.assert(
    fc.property(packet, (each) => {
      const bytes = encodePacket(each)
      t.equal(bytes.length, packetBytes(each))
      t.strictSame(decodePacket(bytes), each)
    }),
    { numRuns: 300 },
  )
})

t.test('bytes of a stranger are refused with a path, and nothing else happens', async (t) => {
  const refusals = { count: 0 }
  const attempt = (bytes: Uint8Array): void => {
    try {
      decodePacket(bytes)
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      refusals.count++
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), attempt), { numRuns: 2000 })
  fc.assert(
    fc.property(packet, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(), (each, changes, cutAt) => {
      const bytes = encodePacket(each).slice()
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      attempt(bytes)
      attempt(bytes.subarray(0, cutAt % bytes.length))
    }),
    { numRuns: 1000 },
  )
  t.ok(refusals.count > 1000, 'most were refused')
})

t.test('a truncated packet, one with bytes too many and one of another version say what is wrong', async (t) => {
  const whole = encodePacket({
    to: '000000000001' as NodeId,
    from: 'zzzzzzzzzzzz' as NodeId,
    epoch: 1,
    incarnation: 1,
    message: { type: 'ping', seq: 7, digest: 9 },
    records: [],
  })
  for (let length = 0; length < whole.length; length++)
    t.throws(() => decodePacket(whole.subarray(0, length)), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.throws(() => decodePacket(Buffer.concat([whole, Buffer.of(0)])), { message: /nothing after the last record/ })
  const other = whole.slice()
  other[0] = 9
  t.throws(() => decodePacket(other), { message: /swim\.version: expected version 1/ })
})

t.test('a count that promises more than follows allocates nothing', async (t) => {
  const pull = encodePacket({
    to: '000000000001' as NodeId,
    from: '000000000002' as NodeId,
    epoch: 1,
    incarnation: 1,
    message: { type: 'pull', ids: [] },
    records: [],
  }).slice()
  pull[26] = 0xff
  pull[27] = 0xff
  t.throws(() => decodePacket(pull), { code: 'ERR_SKEIN_BAD_MESSAGE', message: /swim\.ids: expected at most 0 items/ })
})

t.test('the word on a member weighs 21 bytes: 55 of them go round in one packet', async (t) => {
  const short: MemberRecord = {
    id: 'abcdefghijkl' as NodeId,
    epoch: 3,
    incarnation: 4,
    state: 'alive',
    profileVersion: 1,
    profile: undefined,
    accusations: [],
  }
  const gossip = {
    to: short.id,
    from: short.id,
    epoch: 1,
    incarnation: 1,
    message: { type: 'gossip' },
    records: new Array(55).fill(short),
  } as const
  t.ok(encodePacket(gossip).length <= 1200)
})
