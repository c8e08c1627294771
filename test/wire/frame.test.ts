import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import {
  Assembler,
  channels,
  frameMaxBytes,
  framePayloadMaxBytes,
  framesOf,
  headerBytes,
  readFrame,
} from '../../lib/wire/index.js'

t.test('channel numbers are their places, each once', async (t) => {
  t.strictSame(
    Object.values(channels).map(({ number }) => number),
    [0, 1, 2, 3, 4, 5, 6],
  )
})

t.test('a message of any size comes back from its frames, none of them over the bound', async (t) => {
  for (const size of [0, 1, framePayloadMaxBytes - 1, framePayloadMaxBytes, framePayloadMaxBytes + 1, 1_000_000]) {
    const message = new Uint8Array(size).map((_, index) => index % 251)
    const frames = framesOf(1, channels.rpc, message)
    t.ok(frames.every((frame) => frame.length <= frameMaxBytes))
    const assembler = new Assembler()
    const whole = frames.map((frame) => assembler.add(readFrame(frame)))
    t.ok(whole.slice(0, -1).every((part) => part === undefined))
    t.ok(Buffer.compare(whole.at(-1) as Uint8Array, message) === 0, `${size} bytes`)
  }
})

t.test('messages of two channels may interleave frame by frame', async (t) => {
  const long = new Uint8Array(framePayloadMaxBytes * 2 + 5).fill(7)
  const [first, second, third] = framesOf(1, channels.rpc, long) as [Uint8Array, Uint8Array, Uint8Array]
  const [raft] = framesOf(1, channels.raft, Uint8Array.of(1, 2)) as [Uint8Array]
  const assembler = new Assembler()
  const whole = [first, raft, second, third].map((frame) => assembler.add(readFrame(frame))?.length)
  t.strictSame(whole, [undefined, 2, undefined, long.length])
})

t.test('a message that grows over its channel bound is refused before it is whole', async (t) => {
  const assembler = new Assembler()
  const part = framesOf(1, channels.rpc, new Uint8Array(framePayloadMaxBytes + 1))[0] as Uint8Array
  t.throws(
    () => {
      for (let frame = 0; frame <= channels.rpc.maxBytes / framePayloadMaxBytes; frame++) assembler.add(readFrame(part))
    },
    { code: 'ERR_SKEIN_BAD_MESSAGE' },
  )
})

const good = framesOf(1, channels.raft, Uint8Array.of(9, 9))[0] as Uint8Array
const wrong: readonly (readonly [words: string, bytes: Uint8Array, path: string])[] = [
  ['too short for a header', good.subarray(0, headerBytes - 1), 'frame.length'],
  ['cut', good.subarray(0, headerBytes + 1), 'frame.length'],
  ['with a tail', Buffer.concat([good, Uint8Array.of(0)]), 'frame.length'],
  ['of an unknown channel', changed(good, 1, 99), 'frame.channel'],
  ['with unknown flags', changed(good, 2, 2), 'frame.flags'],
  ['with a byte in the reserved place', changed(good, 3, 1), 'frame.flags'],
]
for (const [words, bytes, path] of wrong) {
  t.test(`a frame ${words} is refused`, async (t) => {
    t.throws(() => readFrame(bytes), { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path } })
  })
}

t.test('random bytes are frames or ERR_SKEIN_BAD_MESSAGE', async (t) => {
  let frames = 0
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        new Assembler().add(readFrame(bytes))
        frames++
      } catch (error) {
        if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
      }
    }),
    { numRuns: 2000 },
  )
  t.ok(frames < 2000)
})

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = value
  return copy
}
