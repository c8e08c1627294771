import t from 'tap'
import { TaskDb, type TaskRow } from '../../lib/agent/task-db.js'
import { LevelStorage, MemoryStorage } from '../../lib/storage/index.js'
import { makeKey } from '../../lib/storage/keyspace.js'
import { encode } from '../../lib/wire/codec.js'
import { aTask } from './fakes.js'

const row = (id: string): TaskRow => ({ task: aTask(id), report: { id, state: 'running', message: 'started' } })

t.test('a row comes back as it was written, also where it holds nothing', async (t) => {
  const db = new TaskDb(new MemoryStorage())
  const full: TaskRow = {
    task: {
      ...aTask('b.1.1'),
      spec: {
        ...aTask('b.1.1').spec,
        workingDir: '/srv',
        limit: { cpuNanos: 5, memoryBytes: 6 },
        options: { any: ['thing', 1, null] },
      },
    },
    report: { id: 'b.1.1', state: 'failed', message: 'exited with code 3', exitCode: 3 },
  }
  await db.write({ put: [row('a.1.1'), full] })
  t.strictSame(await db.load(), [row('a.1.1'), full])
})

t.test('the last write of a row counts, and a removed one is gone', async (t) => {
  const db = new TaskDb(new MemoryStorage())
  await db.write({ put: [row('a.1.1'), row('b.1.1')] })
  await db.write({
    put: [{ ...row('a.1.1'), report: { id: 'a.1.1', state: 'complete', message: 'finished', exitCode: 0 } }],
    remove: ['b.1.1'],
  })
  t.match(await db.load(), [{ report: { state: 'complete', exitCode: 0 } }])
})

t.test('rows of others in the same storage are left alone', async (t) => {
  const storage = new MemoryStorage()
  await storage.batch([{ type: 'put', key: makeKey('agent', 'taskx'), value: encode('other') }], { sync: false })
  const db = new TaskDb(storage)
  await db.write({ put: [row('a.1.1')] })
  t.equal((await db.load()).length, 1)
})

t.test('a damaged row is refused, saying which and where', async (t) => {
  const storage = new MemoryStorage()
  const db = new TaskDb(storage)
  for (const [value, words] of [
    [encode({ task: aTask('a.1.1') }), /stored task 1\.report: expected an object/],
    [encode({ task: { ...aTask('a.1.1'), desired: 'sideways' }, report: {} }), /stored task 1\.task\.desired: expected one of/],
    [Uint8Array.of(0xc1), /does not decode/],
  ] as const) {
    await storage.batch([{ type: 'put', key: makeKey('agent', 'task', 'a.1.1'), value }], { sync: false })
    await t.rejects(db.load(), { code: 'ERR_SKEIN_BAD_MESSAGE', message: words })
  }
})

t.test('on level, rows are there after the directory was closed and opened again', async (t) => {
  const dir = t.testdir()
  const before = new TaskDb(await LevelStorage.open(dir))
  await before.write({ put: [row('a.1.1')] })
  await before.close()
  const after = new TaskDb(await LevelStorage.open(dir))
  t.strictSame(await after.load(), [row('a.1.1')])
  await after.close()
})
