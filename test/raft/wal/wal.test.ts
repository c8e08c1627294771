import t from 'tap'
import { isSkeinError, SkeinError } from '../../../lib/base/errors.js'
import { seededRandom } from '../../../lib/base/random.js'
import type { ConfState, Entry, HardState } from '../../../lib/raft/core/state.js'
import type { WalBatch } from '../../../lib/raft/wal/batch.js'
import { Wal, type WalOpened } from '../../../lib/raft/wal/wal.js'
import { cutPowerAfter, FaultyDisk, systemError } from './faulty-disk.js'

const dir = '/data/log'
const owner = { clusterId: 'c1u2s3t4e5r6', nodeId: 2 ** 48 - 1 }
const conf: ConfState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }

function open(
  disk: FaultyDisk,
  options: { segmentBytes?: number; clusterId?: string; nodeId?: number } = {},
): Promise<WalOpened> {
  return Wal.open({ dir, ...owner, files: disk, growBytes: 1024, ...options })
}

function entry(index: number, term = 1, text = `entry ${index} of term ${term}`): Entry {
  return { type: 'EntryNormal', term, index, data: Buffer.from(text) }
}

function run(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term))
}

function hard(term: number, vote: number, commit: number): HardState {
  return { term, vote, commit }
}

/** Data as Buffer or Uint8Array is the same data. */
function texts(entries: readonly Entry[]): string[] {
  return entries.map(({ index, term, data }) => `${index}/${term} ${Buffer.from(data).toString()}`)
}

function segmentPaths(disk: FaultyDisk): string[] {
  return disk.paths().filter((path) => path.endsWith('.wal'))
}

async function refusal(promise: Promise<unknown>): Promise<SkeinError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof SkeinError) return error
    throw error
  }
  throw new Error('expected a refusal')
}

t.test('what was appended is there after a reopen', async (t) => {
  const disk = new FaultyDisk()
  const { wal, contents } = await open(disk)
  t.equal(contents.hardState, undefined, 'a new log is empty')
  await wal.append([{ entries: run(1, 3), hardState: hard(1, 7, 0) }])
  await wal.append([{ hardState: hard(1, 7, 2) }, { entries: run(4, 4) }])
  await wal.close()

  const again = await open(disk.afterPowerCut(seededRandom(1)))
  t.strictSame(again.contents.hardState, hard(1, 7, 2))
  t.strictSame(texts(again.contents.entries), texts(run(1, 4)))
  t.equal(again.repaired, undefined)
})

t.test('a lower index replaces the suffix, also across segments', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk, { segmentBytes: 200 })
  for (let i = 1; i <= 20; i++) await wal.append([{ entries: [entry(i)], hardState: hard(1, 0, 0) }])
  t.ok(segmentPaths(disk).length > 3, 'the log has several segments')
  await wal.append([{ entries: run(8, 9, 2), hardState: hard(2, 0, 0) }])
  await wal.close()
  const { contents } = await open(disk, { segmentBytes: 200 })
  t.strictSame(texts(contents.entries), texts([...run(1, 7), ...run(8, 9, 2)]))
})

t.test('a batch that carries an older commit index does not take the newer one back', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  await wal.append([{ entries: run(1, 5), hardState: hard(1, 0, 5) }])
  await wal.append([{ hardState: hard(2, 0, 3) }])
  await wal.close()
  t.strictSame((await open(disk)).contents.hardState, hard(2, 0, 5))
})

t.test('cutting the last segment at every byte leaves exactly the acknowledged records before the cut', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  const sizes: number[] = []
  const path = segmentPaths(disk)[0] as string
  for (let i = 1; i <= 12; i++) {
    await wal.append([{ entries: [entry(i)], hardState: hard(1, 0, i) }])
    sizes.push(lastRecordEnd(disk.bytes(path)))
  }
  const whole = disk.bytes(path)
  const firstRecord = 64 + 24
  for (let cut = firstRecord; cut <= (sizes.at(-1) as number); cut++) {
    const expected = sizes.filter((size) => size <= cut).length
    const cutDisk = disk.copy()
    cutDisk.put(path, whole.subarray(0, cut))
    const { contents, wal } = await open(cutDisk)
    if (contents.entries.length !== expected) t.fail(`cut at ${cut}: ${contents.entries.length} entries, expected ${expected}`)
    await wal.append([{ entries: [entry(expected + 1, 2)], hardState: hard(2, 0, expected + 1) }])
    await wal.close()
    const after = await open(cutDisk)
    if (after.contents.entries.length !== expected + 1) t.fail(`cut at ${cut}: the log does not go on`)
  }
  t.pass(`${(sizes.at(-1) as number) - firstRecord + 1} cuts`)
})

/** End of the last record without its padding: a cut inside the padding loses nothing. */
function lastRecordEnd(bytes: Buffer): number {
  let end = bytes.length
  while (bytes[end - 1] === 0) end--
  return end
}

t.test('a torn write is taken off, and the file as it was is kept aside', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  await wal.append([{ entries: run(1, 2), hardState: hard(1, 0, 2) }])
  const path = segmentPaths(disk)[0] as string
  const before = lastRecordEnd(disk.bytes(path))
  await wal.append([{ entries: [entry(3, 1, 'z'.repeat(2000))] }])
  const torn = disk.bytes(path)
  torn.fill(0, 1024, 1536)
  disk.put(path, torn)

  const { contents, repaired, wal: next } = await open(disk)
  t.strictSame(texts(contents.entries), texts(run(1, 2)))
  t.match(repaired, { file: path, why: /never reached the disk/ })
  t.ok((repaired?.offset ?? 0) >= before)
  t.strictSame(disk.bytes(repaired?.copy as string), torn)
  await next.append([{ entries: [entry(3, 2)], hardState: hard(2, 0, 3) }])
  t.equal((await open(disk)).contents.entries.length, 3)
})

t.test('a flipped bit before the tail is refused, naming file, offset and remedy', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  for (let i = 1; i <= 6; i++) await wal.append([{ entries: [entry(i)], hardState: hard(1, 0, i) }])
  await wal.close()
  const path = segmentPaths(disk)[0] as string
  const whole = disk.bytes(path)
  const recordBytes = (lastRecordEnd(whole) - 88) / 6
  let refused = 0
  for (let at = 0; at < lastRecordEnd(whole) - recordBytes - 8; at++) {
    const damaged = disk.copy()
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] as number) ^ 0x10
    damaged.put(path, bytes)
    const opened = await open(damaged).catch((error: unknown) => error)
    if (isSkeinError(opened, 'ERR_SKEIN_CORRUPT')) {
      refused++
      if (opened.detail.file !== path || opened.detail.offset === undefined || !/join again/.test(opened.message))
        t.fail(opened.message)
    } else if (opened instanceof Error || opened === undefined) {
      t.fail(`byte ${at}: ${String(opened)}`)
    } else {
      // Only padding may change unnoticed: then nothing is lost.
      const { contents } = opened as WalOpened
      if (contents.entries.length !== 6) t.fail(`byte ${at}: silently lost ${6 - contents.entries.length} entries`)
    }
  }
  t.ok(refused > 300, `${refused} refusals`)
})

t.test('a flipped bit in the last record never loses the records before it', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  for (let i = 1; i <= 5; i++) await wal.append([{ entries: [entry(i)], hardState: hard(1, 0, 0) }])
  const path = segmentPaths(disk)[0] as string
  const start = Math.ceil(lastRecordEnd(disk.bytes(path)) / 8) * 8
  await wal.append([{ entries: [entry(6)] }])
  const whole = disk.bytes(path)
  for (let at = start; at < lastRecordEnd(whole); at++) {
    const damaged = disk.copy()
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] as number) ^ 0x01
    damaged.put(path, bytes)
    const opened = await open(damaged).catch((error: unknown) => error)
    if (isSkeinError(opened, 'ERR_SKEIN_CORRUPT')) continue
    if (opened instanceof Error) t.fail(String(opened))
    else if ((opened as WalOpened).contents.entries.length < 5) t.fail(`byte ${at}: lost acknowledged records`)
  }
  t.pass('every byte')
})

t.test('damage in an earlier segment, a missing one, or one of another place in the chain is refused', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk, { segmentBytes: 200 })
  for (let i = 1; i <= 20; i++) await wal.append([{ entries: [entry(i)], hardState: hard(1, 0, 0) }])
  await wal.close()
  const paths = segmentPaths(disk)
  const [first, second, third] = paths as [string, string, string]
  const last = paths.at(-1) as string

  const damaged = disk.copy()
  const bytes = damaged.bytes(second)
  damaged.put(second, bytes.subarray(0, 150))
  t.match(await refusal(open(damaged)), { code: 'ERR_SKEIN_CORRUPT', detail: { file: second } }, 'cut short')

  for (const [missing, why] of [
    [first, /missing/],
    [second, /is missing/],
    [last, /is missing/],
  ] as const) {
    const gap = disk.copy()
    await gap.remove(missing)
    t.match(await refusal(open(gap)), { code: 'ERR_SKEIN_CORRUPT', message: why }, `without ${missing}`)
  }

  const swapped = disk.copy()
  swapped.put(second, disk.bytes(third))
  t.match(await refusal(open(swapped)), { code: 'ERR_SKEIN_CORRUPT', detail: { file: second, offset: 0 } }, 'renamed')
})

t.test('the log of another cluster or another raft id is refused', async (t) => {
  const disk = new FaultyDisk()
  await (await open(disk)).wal.close()
  t.match(await refusal(open(disk, { clusterId: 'o2t3h4e5r6c7' })), {
    code: 'ERR_SKEIN_OTHER_CLUSTER',
    detail: { ours: 'o2t3h4e5r6c7', theirs: owner.clusterId },
  })
  t.match(await refusal(open(disk, { nodeId: 5 })), { code: 'ERR_SKEIN_DIR_UNUSABLE' })
})

for (const [verb, code] of [
  ['sync', 'EIO'],
  ['write', 'ENOSPC'],
] as const) {
  t.test(`after a failed ${verb} every later call is refused, also when the disk is well again`, async (t) => {
    const disk = new FaultyDisk()
    const { wal } = await open(disk)
    await wal.append([{ entries: run(1, 2), hardState: hard(1, 0, 0) }])
    disk.fault = (operation) => (operation.verb === verb ? systemError(code, verb) : undefined)
    t.match(await refusal(wal.append([{ entries: run(3, 3) }])), { code: 'ERR_SKEIN_STORAGE', detail: { syscall: verb } })
    disk.fault = () => undefined
    t.match(await refusal(wal.append([{ entries: run(3, 3) }])), { code: 'ERR_SKEIN_STORAGE' })
    t.match(await refusal(wal.release()), { code: 'ERR_SKEIN_STORAGE' })
  })
}

t.test('appends asked for at once are written in the order asked', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk, { segmentBytes: 300 })
  await Promise.all(run(1, 50).map((one) => wal.append([{ entries: [one], hardState: hard(1, 0, 0) }])))
  t.strictSame(texts((await open(disk)).contents.entries), texts(run(1, 50)))
})

t.test('release frees the segments a snapshot covers and keeps term, vote and the rest', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk, { segmentBytes: 200 })
  await wal.append([{ hardState: hard(3, 9, 0) }])
  for (let i = 1; i <= 30; i++) await wal.append([{ entries: [entry(i, 3)] }])
  const before = segmentPaths(disk).length
  await wal.release()
  t.equal(segmentPaths(disk).length, before, 'nothing goes without a snapshot')
  await wal.append([{ snapshot: { kind: 'taken', index: 25, term: 3, confState: conf }, hardState: hard(3, 9, 25) }])
  await wal.release()
  t.ok(segmentPaths(disk).length < before / 2, `${segmentPaths(disk).length} of ${before} segments are left`)
  const { contents } = await open(disk.afterPowerCut(seededRandom(3)), { segmentBytes: 200 })
  t.strictSame(contents.hardState, hard(3, 9, 25))
  t.match(contents.snapshot, { index: 25, term: 3, confState: conf })
  t.strictSame(texts(contents.entries), texts(run(26, 30, 3)))
})

t.test('an installed snapshot replaces the log, also what followed it', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  await wal.append([{ entries: run(1, 9), hardState: hard(1, 0, 0) }])
  const batch: WalBatch = {
    snapshot: { kind: 'installed', index: 5, term: 2, confState: conf },
    entries: run(6, 7, 2),
    hardState: hard(2, 0, 6),
  }
  await wal.append([batch])
  t.strictSame(texts((await open(disk)).contents.entries), texts(run(6, 7, 2)))
})

t.test('term, vote and commit that were last written in a released segment are carried on by the next', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk, { segmentBytes: 200 })
  await wal.append([{ entries: run(1, 20), hardState: hard(3, 9, 20) }])
  for (let i = 21; i <= 30; i++) await wal.append([{ entries: [entry(i)] }])
  const [first] = segmentPaths(disk)
  await wal.append([{ snapshot: { kind: 'taken', index: 20, term: 1, confState: conf } }])
  await wal.release()
  t.notOk(segmentPaths(disk).includes(first as string), 'the one that said it is gone')
  t.strictSame((await open(disk, { segmentBytes: 200 })).contents.hardState, hard(3, 9, 20))
})

t.test('an installed snapshot with nothing behind it leaves nothing behind it', async (t) => {
  const disk = new FaultyDisk()
  const { wal } = await open(disk)
  await wal.append([{ entries: run(1, 9), hardState: hard(1, 0, 0) }])
  await wal.append([{ snapshot: { kind: 'installed', index: 5, term: 2, confState: conf }, hardState: hard(2, 0, 5) }])
  t.equal(wal.lastIndex, 5)
  const again = await open(disk)
  t.strictSame(again.contents.entries, [])
  t.equal(again.wal.lastIndex, 5)
})

t.test('a power cut at any step of a rotation loses nothing that was acknowledged', async (t) => {
  let steps = 0
  for (let cut = 0; ; cut++) {
    const disk = new FaultyDisk()
    const { wal } = await open(disk, { segmentBytes: 200 })
    let acknowledged = 0
    cutPowerAfter(disk, cut)
    try {
      for (let i = 1; i <= 12; i++) {
        await wal.append([{ entries: [entry(i)], hardState: hard(1, 4, 0) }])
        acknowledged = i
      }
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_STORAGE')) throw error
    }
    for (let seed = 0; seed < 8; seed++) {
      const after = disk.afterPowerCut(seededRandom(cut * 100 + seed))
      const { contents, wal: next } = await open(after, { segmentBytes: 200 })
      const count = contents.entries.length
      if (count < acknowledged || count > acknowledged + 1) t.fail(`cut ${cut} seed ${seed}: ${count} of ${acknowledged} entries`)
      await next.append([{ entries: [entry(count + 1)], hardState: hard(1, 4, 0) }])
    }
    steps = cut
    if (acknowledged === 12) break
  }
  t.ok(steps > 30, `${steps} steps`)
})
