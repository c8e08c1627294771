import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { LevelStorage, MemoryStorage, type Storage, type Write } from '../../lib/storage/index.js'
import { testStorage } from '../../lib/testing/storage-suite.js'

let made = 0
const freshDir = (dir: string): string => join(dir, `level-${made++}`)

t.test('suites', async (t) => {
  const dir = t.testdir()
  await testStorage(t, { name: 'memory', open: async () => new MemoryStorage() })
  await testStorage(t, { name: 'level', open: () => LevelStorage.open(freshDir(dir)) })
})

t.test('level and memory agree after any batches', async (t) => {
  const level = await LevelStorage.open(join(t.testdir(), 'db'))
  const key = fc.uint8Array({ maxLength: 3 })
  const write: fc.Arbitrary<Write> = fc.oneof(
    fc.record({
      type: fc.constant('put' as const),
      key: key.filter(({ length }) => length > 0),
      value: fc.uint8Array({ maxLength: 3 }),
    }),
    fc.record({ type: fc.constant('delete' as const), key: key.filter(({ length }) => length > 0) }),
  )
  const memory = new MemoryStorage()
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 20 }), key, key, async (writes, gte, lt) => {
      await level.batch(writes, { sync: false })
      await memory.batch(writes, { sync: false })
      t.equal(await dump(level, gte, lt), await dump(memory, gte, lt))
    }),
    { numRuns: 100 },
  )
  await level.close()
})

t.test('what was written is there after opening again', async (t) => {
  const dir = join(t.testdir(), 'a', 'b')
  const before = await LevelStorage.open(dir)
  await before.batch([{ type: 'put', key: Uint8Array.of(1), value: Uint8Array.of(2) }], { sync: true })
  await before.close()
  const after = await LevelStorage.open(dir)
  t.strictSame(await after.get(Uint8Array.of(1)), Uint8Array.of(2))
  await after.close()
})

t.test('every acknowledged batch survives kill -9 of the writer, synced or not', async (t) => {
  const dir = join(t.testdir(), 'db')
  const writer = spawn(process.execPath, [fileURLToPath(new URL('./writer.js', import.meta.url)), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => writer.kill('SIGKILL'))
  let told = ''
  for await (const chunk of writer.stdout) {
    told += String(chunk)
    if (told.split('\n').length > 200) writer.kill('SIGKILL')
  }
  const acknowledged = told.split('\n').slice(0, -1).map(Number)
  const storage = await LevelStorage.open(dir)
  const found = new Set<number>()
  for await (const { key } of storage.range({})) found.add(Buffer.from(key).readUInt32BE())
  await storage.close()
  t.ok(acknowledged.length >= 200)
  t.strictSame(
    acknowledged.filter((number) => !found.has(number)),
    [],
    'nothing acknowledged is missing',
  )
})

t.test('a directory held by another process is ERR_SKEIN_DIR_IN_USE', async (t) => {
  const dir = join(t.testdir(), 'db')
  const holder = spawn(process.execPath, [fileURLToPath(new URL('./writer.js', import.meta.url)), dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  await t.rejects(LevelStorage.open(dir), { code: 'ERR_SKEIN_DIR_IN_USE', detail: { dir }, message: dir })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await (await LevelStorage.open(dir)).close()
})

t.test('a directory that cannot be one is ERR_SKEIN_DIR_UNUSABLE, naming it', async (t) => {
  const dir = t.testdir({ file: 'not a directory' })
  for (const unusable of [join(dir, 'file'), join(dir, 'file', 'below'), '/proc/skein-test/db']) {
    await t.rejects(LevelStorage.open(unusable), { code: 'ERR_SKEIN_DIR_UNUSABLE', detail: { dir: unusable } })
  }
})

t.test('a damaged database is refused, not emptied', async (t) => {
  const dir = join(t.testdir(), 'db')
  await (await LevelStorage.open(dir)).close()
  writeFileSync(join(dir, 'CURRENT'), 'no such manifest\n')
  await t.rejects(LevelStorage.open(dir), { code: /ERR_SKEIN_(CORRUPT|DIR_UNUSABLE)/ })
})

async function dump(storage: Storage, gte: Uint8Array, lt: Uint8Array): Promise<string> {
  const lines: string[] = []
  for await (const { key, value } of storage.range({ gte, lt }))
    lines.push(`${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('hex')}`)
  return lines.join(' ')
}
