import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { applyCommand } from '../../lib/store/apply.js'
import { decodeCommand, encodeCommand } from '../../lib/store/command-codec.js'
import { snapshotChunkBytes, snapshotChunks, tablesFromChunks } from '../../lib/store/snapshot.js'
import { Tables } from '../../lib/store/tables.js'
import { decode, encode } from '../../lib/wire/codec.js'
import { command, commands } from './commands.js'

async function* streamed(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function bytesOf(tables: Tables): Buffer {
  return Buffer.concat([...snapshotChunks(tables)])
}

t.test('a replica restored midway stays byte-equal with one that applied everything', async (t) => {
  await fc.assert(
    fc.asyncProperty(commands, fc.nat(40), async (all, cut) => {
      const whole = new Tables()
      let restored = new Tables()
      for (const [at, each] of all.entries()) {
        const data = encodeCommand(each)
        const a = applyCommand(whole, decodeCommand(data), at + 1)
        const b = applyCommand(restored, decodeCommand(data), at + 1)
        deepStrictEqual(encode(b.outcome), encode(a.outcome))
        if (at === cut) restored = await tablesFromChunks(streamed(snapshotChunks(restored)))
      }
      deepStrictEqual(bytesOf(restored), bytesOf(whole))
    }),
    { numRuns: 150 },
  )
  t.pass('on every sequence')
})

t.test('an optional field that is absent is the same wish before and after a restore', async (t) => {
  const spec = { name: 'web', task: { command: ['node'], options: null } }
  const create = command('a', [{ op: 'service.create', id: 'service00001', spec }])
  const scale = command('b', [{ op: 'service.update', id: 'service00001', spec: { ...spec, mode: { replicas: 4 } } }])
  const tables = new Tables()
  applyCommand(tables, decodeCommand(encodeCommand(create)), 1)
  const restored = await tablesFromChunks(streamed(snapshotChunks(tables)))
  for (const each of [tables, restored]) applyCommand(each, decodeCommand(encodeCommand(scale)), 2)
  t.equal(restored.service('service00001')?.specVersion, 1)
  t.same(bytesOf(restored), bytesOf(tables))
  t.equal(restored.spec('service00001', 1)?.task.options, null)
})

t.test(
  'a snapshot is of the moment it was asked for, in chunks within the bound, and wherever they are cut it reads back',
  async (t) => {
    const tables = new Tables()
    const value = new Uint8Array(700_000).fill(7)
    for (const [at, key] of ['a', 'b', 'c'].entries()) applyCommand(tables, command(key, [{ op: 'kv.put', key, value }]), at + 1)
    const lazy = snapshotChunks(tables)
    applyCommand(tables, command('later', [{ op: 'kv.put', key: 'later', value }]), 4)
    const chunks = [...lazy]
    t.ok(chunks.length > 8)
    t.ok(chunks.every((chunk) => chunk.length <= snapshotChunkBytes))
    const whole = Buffer.concat(chunks)
    async function* crumbs() {
      for (let at = 0; at < whole.length; at += 99_991) yield whole.subarray(at, at + 99_991)
    }
    const restored = await tablesFromChunks(crumbs())
    t.equal(restored.version, 3)
    t.same(
      Array.from(restored.keys(''), (each) => each.key),
      ['a', 'b', 'c'],
    )
    t.same(restored.key('b')?.value, value)
  },
)

t.test('a snapshot that is cut, goes on, lies about its rows or is of another format is refused', async (t) => {
  const tables = new Tables()
  applyCommand(tables, command('a', [{ op: 'kv.put', key: 'k', value: new Uint8Array(100) }]), 1)
  const whole = bytesOf(tables)
  const restore = (bytes: Uint8Array): Promise<Tables> => tablesFromChunks(streamed([bytes]))
  for (let length = 0; length < whole.length; length++) {
    await t.rejects(restore(whole.subarray(0, length)), { code: 'ERR_SKEIN_BAD_MESSAGE' }, `${length} bytes of ${whole.length}`)
  }
  const frame = (value: unknown): Buffer => {
    const data = encode(value)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(data.length)
    return Buffer.concat([length, data])
  }
  const header = frame(['skein store', 1, 1])
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['bytes after the end', Buffer.concat([whole, frame(['more'])]), /after its end/],
    ['a wrong count', Buffer.concat([header, frame(['end', 5])]), /0 rows and should have 5/],
    ['another format', frame(['something', 1, 1]), /expected the format/],
    ['a newer format', frame(['skein store', 2, 1]), /format version is 2/],
    ['a kind from the future', Buffer.concat([header, frame([99, 'k', []])]), /kind of row/],
    ['a task of a spec that is not there', Buffer.concat([header, frame([6, 1, task]), frame(['end', 1])]), /its spec is gone/],
    ['a huge frame', Buffer.from([0xff, 0xff, 0xff, 0xff]), /at most/],
  ]
  for (const [name, bytes, message] of cases) await t.rejects(restore(bytes), { code: 'ERR_SKEIN_BAD_MESSAGE', message }, name)
})

const task = [1, 'service00001', 1, 1, 1, null, 'running', 'pending', '', null, null, 0, 0, 1]

t.test('a command reads back as it was, and a malformed one is refused with its path', async (t) => {
  fc.assert(
    fc.property(commands, (all) => {
      for (const each of all) deepStrictEqual(decodeCommand(encodeCommand(each)), decode(encode(each), 1e6))
    }),
    { numRuns: 50 },
  )
  const good = { requestId: 'r', atMs: 1, by: 'leader' }
  const refused = (value: unknown, message: RegExp): void => {
    t.throws(() => decodeCommand(encode(value)), { code: 'ERR_SKEIN_BAD_MESSAGE', message })
  }
  refused({ ...good, requestId: '', ops: [] }, /requestId/)
  refused({ ...good, ops: [{ op: 'volumes.create' }] }, /ops\[0\].op/)
  refused({ ...good, ops: [{ op: 'tasks.remove', tasks: ['x'] }] }, /ops\[0\].tasks\[0\]/)
  refused({ ...good, ops: [{ op: 'kv.put', key: 'k', value: 'text' }] }, /ops\[0\].value/)
  refused('nothing', /command/)
  const value = new Uint8Array(900_000)
  const tooLarge = { ...good, ops: ['a', 'b'].map((key) => ({ op: 'kv.put' as const, key, value })) }
  t.throws(() => encodeCommand(tooLarge), { code: 'ERR_SKEIN_TOO_LARGE', detail: { what: 'command' } })
})
