import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../../lib/base/errors.js'
import type { Entry } from '../../../lib/raft/core/state.js'
import { entriesMaxBytes, packEntries, unpackEntries } from '../../../lib/raft/wal/entry-codec.js'
import { Packer, Scratch, Unpacker } from '../../../lib/raft/wal/msgpack.js'
import { decode, encode } from '../../../lib/wire/index.js'

type Plain = null | boolean | number | Uint8Array | readonly Plain[]

const edges = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1, Number.MAX_SAFE_INTEGER]
const plain = fc.letrec<{ value: Plain }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat()),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
  ),
})).value

function pack(packer: Packer, value: Plain): Packer {
  if (value === null) packer.nil()
  else if (typeof value === 'boolean') packer.boolean(value)
  else if (typeof value === 'number') packer.natural(value)
  else if (value instanceof Uint8Array) packer.bytes(value)
  else {
    packer.list(value.length)
    for (const item of value) pack(packer, item)
  }
  return packer
}

function unpack(reader: Unpacker, like: Plain): Plain {
  if (like === null) return reader.nil() ? null : false
  if (typeof like === 'boolean') return reader.boolean()
  if (typeof like === 'number') return reader.natural()
  if (like instanceof Uint8Array) return new Uint8Array(reader.bytes())
  reader.tuple(like.length)
  return like.map((item) => unpack(reader, item))
}

t.test('what is packed is what the general encoder makes of it, and each reads the other', async () => {
  fc.assert(
    fc.property(plain, (value) => {
      const packed = Buffer.from(pack(new Packer(1 << 20), value).finish())
      if (!packed.equals(encode(value))) throw new Error(`${packed.toString('hex')} is not the encoding`)
      const reader = new Unpacker(packed, 'test')
      const read = unpack(reader, value)
      reader.end()
      if (!Buffer.from(encode(read)).equals(packed)) throw new Error('read otherwise')
    }),
    { numRuns: 500 },
  )
})

t.test('lists and bytes of every size of head agree with the general decoder', async (t) => {
  for (const length of [15, 16, 255, 256, 65_535, 65_536]) {
    t.equal((decode(pack(new Packer(length + 9), new Uint8Array(length)).finish(), 1e6) as Uint8Array).length, length)
    t.equal(new Unpacker(encode(new Uint8Array(length)), 'test').bytes().length, length)
    const nils = Array.from({ length }, () => null)
    t.equal((decode(pack(new Packer(length + 9), nils).finish(), 1e6) as unknown[]).length, length)
    t.equal(new Unpacker(encode(nils), 'test').list(), length)
  }
})

t.test('bytes cut short, counts beyond what is there and other kinds of values are refused', async (t) => {
  const packed = pack(new Packer(1000), [300, [true, null], new Uint8Array(70), 2 ** 40]).finish()
  for (let length = 0; length < packed.length; length++) {
    const reader = new Unpacker(packed.slice(0, length), 'test')
    t.throws(() => unpack(reader, [300, [true, null], new Uint8Array(70), 2 ** 40]), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  }
  const bad: [string, readonly number[], (reader: Unpacker) => unknown][] = [
    ['more items than bytes', [0xdd, 0xff, 0xff, 0xff, 0xff], (reader) => reader.list()],
    ['text', [0xa1, 0x61], (reader) => reader.bytes()],
    ['a negative number', [0xff], (reader) => reader.natural()],
    ['a number of 64 bits', [0xcf, 0, 0, 0, 0, 0, 0, 0, 1], (reader) => reader.natural()],
    ['a fraction', [...encode(1.5)], (reader) => reader.natural()],
    ['a number beyond 2^53', [...encode(2 ** 60)], (reader) => reader.natural()],
    ['a map', [0x80], (reader) => reader.list()],
    ['a byte behind the end', [0xc0, 0xc0], (reader) => reader.nil() && reader.end()],
  ]
  for (const [name, bytes, read] of bad) {
    t.throws(() => read(new Unpacker(Uint8Array.from(bytes), 'test')), { code: 'ERR_SKEIN_BAD_MESSAGE' }, name)
  }
  const error = t.throws(() => new Unpacker(Uint8Array.of(0xc0), 'frame').natural()) as unknown
  t.ok(isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE') && /frame, byte/.test(error.message), 'the error says where')
})

function entriesOf(from: number, count: number, mark: number): readonly Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'EntryNormal',
    term: 3,
    index: from + i,
    data: new Uint8Array(i % 5 === 4 ? 0 : 10).fill(mark + i),
  }))
}

t.test('entries come out the same however much of them was packed or read before', async () => {
  const print = (entries: readonly Entry[]): string => JSON.stringify(entries.map(({ index, data }) => [index, [...data]]))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(30), fc.nat(30), fc.boolean(), fc.boolean()), { maxLength: 30 }), (cuts) => {
      let log: Entry[] = [...entriesOf(1, 30, 100)]
      for (const [a, b, viaScratch, isReplaced] of cuts) {
        // Another leader's entries in place of the end of the log.
        if (isReplaced) log = [...log.slice(0, a), ...entriesOf(a + 1, 30 - a, b)]
        const part = log.slice(Math.min(a, b), Math.max(a, b))
        const packer = new Packer(entriesMaxBytes(part), viaScratch ? new Scratch() : undefined)
        packEntries(packer, part)
        const found = unpackEntries(new Unpacker(new Uint8Array(packer.finish()), 'test'))
        if (print(found) !== print(part)) throw new Error(`found ${print(found)}, expected ${print(part)}`)
        // A follower's log, made of what came.
        if (!viaScratch) log = [...log.slice(0, Math.min(a, b)), ...found, ...log.slice(Math.max(a, b))]
      }
    }),
    { numRuns: 300 },
  )
})
