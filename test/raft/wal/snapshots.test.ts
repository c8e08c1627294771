import t from 'tap'
import { isSkeinError } from '../../../lib/base/errors.js'
import { seededRandom } from '../../../lib/base/random.js'
import type { ConfState, Entry } from '../../../lib/raft/core/state.js'
import type { SnapshotMeta } from '../../../lib/raft/wal/batch.js'
import { RaftDisk } from '../../../lib/raft/wal/raft-disk.js'
import { Snapshots } from '../../../lib/raft/wal/snapshots.js'
import { cutPowerAfter, FaultyDisk, systemError } from './faulty-disk.js'

const dir = '/data/snapshots'
const conf: ConfState = { voters: [1, 2], votersOutgoing: [1], learners: [3], learnersNext: [2], autoLeave: true }
const chunks = [Buffer.from('first, '), Buffer.alloc(0), Buffer.alloc(5000, 'x'), Buffer.from('last')]

function meta(index: number, term = 2): SnapshotMeta {
  return { index, term, confState: conf }
}

async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

t.test('a snapshot is read back as it was saved, with its configuration', async (t) => {
  const files = new FaultyDisk()
  const snapshots = await Snapshots.open({ dir, files })
  const sizeBytes = await snapshots.save(meta(7), chunks)
  t.ok(sizeBytes > 5000)
  const again = await Snapshots.open({ dir, files: files.afterPowerCut(seededRandom(2)) })
  t.strictSame(again.list(), [{ index: 7, term: 2 }])
  t.strictSame(await again.meta({ index: 7, term: 2 }), meta(7))
  t.ok((await gather(again.read({ index: 7, term: 2 }))).equals(Buffer.concat(chunks)))
})

t.test('only the newest ones stay, and one that is not marked yet', async (t) => {
  const snapshots = await Snapshots.open({ dir, files: new FaultyDisk(), keep: 2 })
  for (const index of [10, 20, 30, 40]) await snapshots.save(meta(index), chunks)
  await snapshots.prune(meta(30))
  t.strictSame(
    snapshots.list().map(({ index }) => index),
    [20, 30, 40],
  )
  await snapshots.dropUnmarked(meta(30))
  t.strictSame(
    snapshots.list().map(({ index }) => index),
    [20, 30],
  )
})

t.test('a source that fails, or a disk that is full, leaves no file behind', async (t) => {
  const files = new FaultyDisk()
  const snapshots = await Snapshots.open({ dir, files })
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half')
    throw new Error('the link broke')
  }
  await t.rejects(snapshots.save(meta(3), broken()), /the link broke/)
  files.fault = (operation) => (operation.verb === 'write' ? systemError('ENOSPC', 'write') : undefined)
  await t.rejects(snapshots.save(meta(3), chunks), { code: 'ERR_SKEIN_STORAGE', detail: { syscall: 'write' } })
  t.strictSame(files.paths(), [])
  t.strictSame(snapshots.list(), [])
})

t.test('a flipped bit or a cut anywhere in a snapshot is found before its end is reached', async (t) => {
  const files = new FaultyDisk()
  const snapshots = await Snapshots.open({ dir, files })
  const small = [Buffer.from('abcdefgh'), Buffer.from('ijklmnop')]
  await snapshots.save(meta(3), small)
  const path = files.paths()[0] as string
  const whole = files.bytes(path)
  let passed = 0
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole)
    flipped[at] = (flipped[at] as number) ^ 0x04
    for (const damaged of [flipped, whole.subarray(0, at)]) {
      const copy = new FaultyDisk()
      copy.put(path, damaged)
      const read = await gather((await Snapshots.open({ dir, files: copy })).read(meta(3))).catch((error: unknown) => error)
      if (read instanceof Buffer && read.equals(Buffer.concat(small))) passed++
      else if (!isSkeinError(read, 'ERR_SKEIN_CORRUPT')) t.fail(`byte ${at}: ${String(read)}`)
    }
  }
  t.ok(passed < 40, `${passed} changes were in padding`)
})

t.test('a power cut between any two steps of installing a snapshot leaves the old state or the new one', async (t) => {
  const open = (files: FaultyDisk) =>
    RaftDisk.open({ dir: '/data', clusterId: 'c1u2s3t4e5r6', nodeId: 4, files, segmentBytes: 400 })
  const entries: Entry[] = Array.from({ length: 12 }, (_, i) => ({
    type: 'EntryNormal',
    term: 1,
    index: i + 1,
    data: Buffer.alloc(40),
  }))
  const seen = { old: 0, new: 0 }
  for (let cut = 0; ; cut++) {
    const files = new FaultyDisk()
    const { disk } = await open(files)
    await disk.append([{ hardState: { term: 1, vote: 1, commit: 0 } }])
    await disk.saveSnapshot(meta(6, 1), [Buffer.from('old state')])
    for (const entry of entries) await disk.append([{ entries: [entry] }])
    await disk.append([{ snapshot: { kind: 'taken', ...meta(6, 1) }, hardState: { term: 1, vote: 1, commit: 9 } }])
    cutPowerAfter(files, cut)
    let done = false
    try {
      await disk.saveSnapshot(meta(50), [Buffer.from('new state')])
      await disk.append([{ snapshot: { kind: 'installed', ...meta(50) }, hardState: { term: 2, vote: 0, commit: 50 } }])
      await disk.release()
      done = true
    } catch (error) {
      if (!isSkeinError(error, 'ERR_SKEIN_STORAGE')) throw error
    }
    for (let seed = 0; seed < 6; seed++) {
      const after = await open(files.afterPowerCut(seededRandom(cut * 10 + seed)))
      const { snapshot, hardState, entries } = after.contents
      if (snapshot === undefined) throw new Error('no snapshot is left')
      const state = (await gather(after.disk.readSnapshot(snapshot))).toString()
      if (snapshot.index === 6) {
        t.strictSame([state, hardState?.commit, entries.length], ['old state', 9, 6])
        seen.old++
      } else {
        t.strictSame([snapshot.index, state, hardState?.commit, entries.length], [50, 'new state', 50, 0])
        seen.new++
      }
    }
    if (done) break
  }
  t.ok(seen.old > 10 && seen.new > 10, `${seen.old} found the old state, ${seen.new} the new one`)
})

t.test('a new peer whose first snapshot came and whose log did not hear of it yet begins again', async (t) => {
  const open = (files: FaultyDisk) => RaftDisk.open({ dir: '/data', clusterId: 'c1u2s3t4e5r6', nodeId: 4, files })
  const files = new FaultyDisk()
  const { disk } = await open(files)
  await disk.saveSnapshot(meta(6), chunks)
  const { contents } = await open(files.afterPowerCut(seededRandom(1)))
  t.match(contents, { snapshot: undefined, entries: [] })
  const { disk: written } = await open(files)
  await Promise.all([
    written.append([{ hardState: { term: 5, vote: 1, commit: 0 } }]),
    written.saveSnapshot(meta(6), chunks),
    written.append([{ hardState: { term: 6, vote: 1, commit: 0 } }]),
  ])
  t.match((await open(files)).contents.hardState, { term: 6 })
})

t.test('a log whose snapshot is gone, and snapshots whose log is gone, are refused', async (t) => {
  const open = (files: FaultyDisk) => RaftDisk.open({ dir: '/data', clusterId: 'c1u2s3t4e5r6', nodeId: 4, files })
  const files = new FaultyDisk()
  const { disk } = await open(files)
  await disk.saveSnapshot(meta(6), chunks)
  await disk.append([{ snapshot: { kind: 'installed', ...meta(6) }, hardState: { term: 2, vote: 0, commit: 6 } }])
  const [log, snapshot] = files.paths() as [string, string]
  const withoutSnapshot = files.copy()
  await withoutSnapshot.remove(snapshot)
  await t.rejects(open(withoutSnapshot), { code: 'ERR_SKEIN_CORRUPT', detail: { file: snapshot } })
  const withoutLog = files.copy()
  await withoutLog.remove(log)
  await t.rejects(open(withoutLog), { code: 'ERR_SKEIN_CORRUPT', message: /log is missing/ })
})
