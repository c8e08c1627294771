import { isSkeinError } from '../base/errors.js'
import type { Entry, Range, Storage, Write } from '../storage/index.js'
import type { SuiteTest } from './driver-suite.js'

export interface StorageSuite {
  readonly name: string
  /** A fresh, empty storage; the suite closes it. */
  open(): Promise<Storage>
}

/** What every Storage must do. */
export async function testStorage(t: SuiteTest, { name, open }: StorageSuite): Promise<void> {
  const check = (words: string, body: (t: SuiteTest, storage: Storage) => Promise<void>): PromiseLike<unknown> =>
    t.test(`${name}: ${words}`, async (t) => {
      const storage = await open()
      try {
        await body(t, storage)
      } finally {
        await storage.close()
      }
    })

  await check('a key that was never written is undefined', async (t, storage) => {
    t.equal(await storage.get(bytes('a')), undefined)
  })

  await check('what a batch put is there, also as an empty value', async (t, storage) => {
    await storage.batch([put('a', 'one'), put('b', '')], { sync: true })
    t.equal(text(await storage.get(bytes('a'))), 'one')
    t.equal(text(await storage.get(bytes('b'))), '')
  })

  await check('within a batch the later write to a key wins', async (t, storage) => {
    await storage.batch([put('a', 'one'), put('a', 'two'), put('b', 'x'), remove('b')], { sync: false })
    t.equal(await list(storage, {}), 'a=two')
  })

  await check('batches take effect in the order they were called, awaited or not', async (t, storage) => {
    for (let round = 0; round < 20; round++) {
      await Promise.all(['1', '2', '3', '4'].map((value) => storage.batch([put('a', value)], { sync: value === '1' })))
      t.equal(text(await storage.get(bytes('a'))), '4')
    }
  })

  await check('an empty batch and the removal of a missing key change nothing', async (t, storage) => {
    await storage.batch([], { sync: true })
    await storage.batch([remove('nobody')], { sync: true })
    t.equal(await list(storage, {}), '')
  })

  await check('a range is half open, in byte order, and at most `limit` long', async (t, storage) => {
    await storage.batch(
      ['c', 'a', 'ab', 'b', 'é'].map((key) => put(key, key)),
      { sync: false },
    )
    t.equal(await list(storage, {}), 'a=a ab=ab b=b c=c é=é')
    t.equal(await list(storage, { gte: bytes('ab'), lt: bytes('c') }), 'ab=ab b=b')
    t.equal(await list(storage, { gte: bytes('b') }), 'b=b c=c é=é')
    t.equal(await list(storage, { lt: bytes('b'), limit: 1 }), 'a=a')
    t.equal(await list(storage, { limit: 0 }), '')
    t.equal(await list(storage, { gte: bytes('z'), lt: bytes('a') }), '')
  })

  await check('keys sort as unsigned bytes', async (t, storage) => {
    const keys = [[0xff], [0x7f], [0x80, 0], [0x80], [0]].map((key) => Uint8Array.from(key))
    await storage.batch(
      keys.map((key) => ({ type: 'put', key, value: bytes('') })),
      { sync: false },
    )
    const found: string[] = []
    for await (const { key } of storage.range({})) found.push(Buffer.from(key).toString('hex'))
    t.equal(found.join(' '), '00 7f 80 8000 ff')
  })

  await check('a range shows the entries as they were when it began', async (t, storage) => {
    await storage.batch([put('a', '1'), put('b', '1'), put('c', '1')], { sync: false })
    const iterator = storage.range({})[Symbol.asyncIterator]()
    const first = await iterator.next()
    await storage.batch([remove('b'), put('c', '2'), put('d', '2')], { sync: false })
    const rest: Entry[] = [first.value]
    for (let item = await iterator.next(); !item.done; item = await iterator.next()) rest.push(item.value)
    t.equal(rest.map(show).join(' '), 'a=1 b=1 c=1')
  })

  await check('a range may be left early, and the storage still closes', async (t, storage) => {
    await storage.batch([put('a', '1'), put('b', '1')], { sync: false })
    for await (const entry of storage.range({})) {
      t.equal(show(entry), 'a=1')
      break
    }
  })

  await check('a value handed out belongs to the caller', async (t, storage) => {
    await storage.batch([put('a', 'one')], { sync: false })
    const value = await storage.get(bytes('a'))
    value?.fill(0)
    t.equal(text(await storage.get(bytes('a'))), 'one')
  })

  await check('values come back as plain arrays of bytes', async (t, storage) => {
    await storage.batch([put('a', 'one')], { sync: false })
    t.equal((await storage.get(bytes('a')))?.constructor, Uint8Array)
  })

  await check('after close every call is refused with ERR_SKEIN_STOPPED, and close may be called again', async (t, storage) => {
    await storage.close()
    await storage.close()
    t.ok(isSkeinError(await failure(storage.get(bytes('a'))), 'ERR_SKEIN_STOPPED'))
    t.ok(isSkeinError(await failure(storage.batch([put('a', '1')], { sync: true })), 'ERR_SKEIN_STOPPED'))
    t.ok(isSkeinError(await failure(list(storage, {})), 'ERR_SKEIN_STOPPED'))
  })
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString()
}

function put(key: string, value: string): Write {
  return { type: 'put', key: bytes(key), value: bytes(value) }
}

function remove(key: string): Write {
  return { type: 'delete', key: bytes(key) }
}

function show({ key, value }: Entry): string {
  return `${text(key)}=${text(value)}`
}

async function list(storage: Storage, range: Range): Promise<string> {
  const shown: string[] = []
  for await (const entry of storage.range(range)) shown.push(show(entry))
  return shown.join(' ')
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}
