import t from 'tap'
import { encodeRecord, scanRecords } from '../../../lib/raft/wal/record.js'

function chain(...payloads: string[]): { bytes: Buffer; offsets: number[] } {
  const parts: Buffer[] = []
  const offsets: number[] = []
  let [crc, at] = [7, 0]
  for (const payload of payloads) {
    const record = encodeRecord(Buffer.from(payload), crc)
    offsets.push(at)
    parts.push(record.bytes)
    at += record.bytes.length
    crc = record.crc
  }
  return { bytes: Buffer.concat([...parts, Buffer.alloc(4096 - at)]), offsets }
}

function payloads(bytes: Buffer): string[] {
  return scanRecords(bytes, 0, 7).records.map((record) => Buffer.from(record.payload).toString())
}

t.test('records are read back in order up to the zeros', async (t) => {
  const { bytes } = chain('one', 'two', 'a longer third record')
  const scan = scanRecords(bytes, 0, 7)
  t.strictSame(payloads(bytes), ['one', 'two', 'a longer third record'])
  t.equal(scan.tail.state, 'clean')
})

t.test('a record that does not continue the chain is corruption, not a tail', async (t) => {
  const { bytes, offsets } = chain('one', 'two', 'three')
  const foreign = encodeRecord(Buffer.from('xxx'), 12345)
  foreign.bytes.copy(bytes, offsets[1])
  const { tail } = scanRecords(bytes, 0, 7)
  t.match(tail, { state: 'corrupt', offset: offsets[1] as number })
})

t.test('a bad record before a good one is corruption wherever the bit flipped', async (t) => {
  const { bytes, offsets } = chain('one', 'two', 'three')
  const [second, third] = offsets.slice(1) as [number, number]
  for (let at = second; at < third; at++) {
    if (at >= second + 19) break // only padding follows the payload
    for (const mask of [1, 128]) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] as number) ^ mask
      t.match(scanRecords(flipped, 0, 7).tail, { state: 'corrupt', offset: second }, `bit ${mask} of byte ${at}`)
    }
  }
})

t.test('a last record with a sector that never arrived is torn', async (t) => {
  const long = 'x'.repeat(1500)
  const { bytes, offsets } = chain('one', long)
  const last = offsets[1] as number
  for (const sector of [0, 512, 1024]) {
    const torn = Buffer.from(bytes)
    torn.fill(0, Math.max(sector, last), sector + 512)
    t.match(scanRecords(torn, 0, 7).tail, { state: 'torn', offset: last }, `sector at ${sector}`)
    t.strictSame(payloads(torn), ['one'])
  }
})

t.test('a sector that is gone with whole records in it is corruption when a good record follows', async (t) => {
  const sector = 512
  const one = 'x'.repeat(sector - 16)
  const { bytes, offsets } = chain(one, one, 'three')
  t.same(offsets, [0, sector, 2 * sector])
  const lost = Buffer.from(bytes)
  lost.fill(0, sector, 2 * sector)
  t.match(scanRecords(lost, 0, 7).tail, { state: 'corrupt', offset: sector, why: /a good one follows at offset 1024/ })
})

t.test(
  'a sector that held the end of one record and the start of the last one takes the last one only if it is the last',
  async (t) => {
    const { bytes, offsets } = chain('one', 'y'.repeat(700), 'z'.repeat(700))
    const [, second, third] = offsets as [number, number, number]
    const lost = Buffer.from(bytes)
    const sector = third - (third % 512)
    t.ok(second < sector && sector < third, 'they share it')
    lost.fill(0, sector, sector + 512)
    t.match(scanRecords(lost, 0, 7).tail, { state: 'corrupt', offset: second, why: /something was written behind it/ })
    lost.fill(0, sector)
    t.match(scanRecords(lost, 0, 7).tail, { state: 'torn', offset: second }, 'with nothing behind it, it is a write cut short')
  },
)

t.test('a last record that arrived whole and then changed is corruption', async (t) => {
  const { bytes, offsets } = chain('one', 'y'.repeat(1500))
  const flipped = Buffer.from(bytes)
  flipped[900] = 0x7a
  t.match(scanRecords(flipped, 0, 7).tail, { state: 'corrupt', offset: offsets[1] as number })
})
