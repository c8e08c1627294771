import fc from 'fast-check'
import t from 'tap'
import { isSealed, LogSealing, makeSealKey, RecordSealer, sealedExtraBytes, TableSealing } from '../../lib/security/index.js'
import { encode } from '../../lib/wire/codec.js'

const sealing = { cluster: 'cluster00001', dataKey: makeSealKey() }
const refused = { code: 'ERR_SKEIN_CORRUPT', message: /^a test cannot be opened: .*join again as a new node/ }
const place = Buffer.from('here')

t.test('what one process sealed every other with the data key opens, and it is 41 bytes longer', (t) => {
  const [ours, theirs] = [new RecordSealer('raft log', sealing), new RecordSealer('raft log', sealing)]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 40 }), (plain, where) => {
      const sealed = ours.seal(plain, where)
      t.equal(sealed.length, plain.length + sealedExtraBytes)
      t.same(Buffer.from(theirs.open(sealed, 'a test', where)), Buffer.from(plain))
    }),
  )
  t.equal(sealedExtraBytes, 41)
  t.end()
})

t.test('any changed bit, any cut, another place, purpose, cluster or key: it does not open', (t) => {
  const sealer = new RecordSealer('raft log', sealing)
  const sealed = sealer.seal(Buffer.from('a command of some length'), place)
  fc.assert(
    fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
      const spoilt = Uint8Array.from(sealed, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
      t.throws(() => sealer.open(spoilt, 'a test', place), refused, `bit ${bit}`)
    }),
    { numRuns: 500 },
  )
  for (let length = 0; length < sealed.length; length++)
    t.throws(() => sealer.open(sealed.subarray(0, length), 'a test', place), refused, `${length} bytes`)
  t.throws(() => sealer.open(sealed, 'a test', Buffer.from('there')), refused)
  t.throws(() => sealer.open(sealed, 'a test'), refused)
  for (const other of [
    new RecordSealer('snapshots', sealing),
    new RecordSealer('raft log', { ...sealing, cluster: 'cluster00002' }),
    new RecordSealer('raft log', { ...sealing, dataKey: makeSealKey() }),
  ])
    t.throws(() => other.open(sealed, 'a test', place), refused)
  t.same(Buffer.from(sealer.open(sealed, 'a test', place)).toString(), 'a command of some length')
  t.end()
})

t.test('no two seals share salt and counter: not in one process, not in two', (t) => {
  const nonces = new Set<string>()
  for (let process = 0; process < 20; process++) {
    const sealer = new RecordSealer('tables', sealing)
    for (let n = 0; n < 100; n++) nonces.add(Buffer.from(sealer.seal(place).subarray(1, 25)).toString('hex'))
  }
  t.equal(nonces.size, 2_000)
  t.end()
})

t.test('records by more processes than keys are remembered open all the same, in any order', (t) => {
  const records = Array.from({ length: 600 }, (_, n) => new RecordSealer('tables', sealing).seal(Buffer.from(`record ${n}`)))
  const reader = new RecordSealer('tables', sealing)
  for (const at of [...records.keys(), ...[...records.keys()].reverse(), 3, 599, 3])
    t.equal(Buffer.from(reader.open(records[at] as Uint8Array, 'a test')).toString(), `record ${at}`)
  t.end()
})

t.test('nothing that is encoded looks sealed, and a command written open opens as it is', (t) => {
  fc.assert(fc.property(fc.jsonValue(), (value) => !isSealed(encode(value))))
  const [log, command] = [new LogSealing(sealing), encode({ requestId: 'r', atMs: 1, by: 'me', ops: [] })]
  t.equal(log.open(command, 7), command)
  const sealed = log.seal(command)
  t.ok(isSealed(sealed))
  t.same(Buffer.from(log.open(sealed, 7)), Buffer.from(command))
  const other = new LogSealing({ ...sealing, dataKey: makeSealKey() })
  t.throws(() => other.open(sealed, 7), { code: 'ERR_SKEIN_CORRUPT', message: /^entry 7 of the raft log cannot be opened/ })
  t.end()
})

t.test("a row's name is the same in every process, tells nothing without the data key, and its row opens under no other", (t) => {
  const [one, two] = [new TableSealing(sealing), new TableSealing(sealing)]
  const key = Buffer.from('a key of the tables')
  t.same(one.nameOf(key), two.nameOf(key))
  t.notSame(one.nameOf(key), one.nameOf(Buffer.from('a key of the tablet')))
  t.notSame(one.nameOf(key), new TableSealing({ ...sealing, dataKey: makeSealKey() }).nameOf(key))
  t.notOk(Buffer.from(one.nameOf(key)).includes('tables'))
  const row = one.seal(Buffer.from('a row'), key)
  t.equal(Buffer.from(two.open(row, key)).toString(), 'a row')
  t.throws(() => two.open(row, place), { code: 'ERR_SKEIN_CORRUPT', message: /^a row of the tables/ })
  t.end()
})
