// The log under fire, one named fault after the other. The outcome is always what was acknowledged, or a refusal that names file,
// place and remedy; never less, never something else.
import t from 'tap'
import { isSkeinError, type SkeinError } from '../../../lib/base/errors.js'
import { below, seededRandom } from '../../../lib/base/random.js'
import type { ConfState, Entry } from '../../../lib/raft/core/state.js'
import { RaftDisk, type RaftDiskOpened } from '../../../lib/raft/wal/raft-disk.js'
import { Wal } from '../../../lib/raft/wal/wal.js'
import { FaultyDisk, type Operation, systemError } from './faulty-disk.js'

const dir = '/data'
const owner = { clusterId: 'c1u2s3t4e5r6', nodeId: 7 }
const conf: ConfState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
const sizes = { segmentBytes: 260, growBytes: 512 }
const sectorBytes = 512

function open(files: FaultyDisk): Promise<RaftDiskOpened> {
  return RaftDisk.open({ dir, ...owner, ...sizes, files })
}

function entry(index: number, term = 1, sizeBytes = 12): Entry {
  return { type: 'EntryNormal', term, index, data: Buffer.alloc(sizeBytes, `${index}.${term} `) }
}

/** A log of `count` entries, each acknowledged on its own, in several segments. */
async function written(count: number, sizeBytes?: number, segmentBytes = sizes.segmentBytes): Promise<FaultyDisk> {
  const files = new FaultyDisk()
  const { disk } = await RaftDisk.open({ dir, ...owner, ...sizes, segmentBytes, files })
  for (let index = 1; index <= count; index++) {
    await disk.append([{ entries: [entry(index, 1, sizeBytes)], hardState: { term: 1, vote: 2, commit: index - 1 } }])
  }
  await disk.close()
  return files
}

/** Bytes of the file that are not the zeros written ahead. */
function usedBytes(bytes: Buffer): number {
  return bytes.findLastIndex((byte) => byte !== 0) + 1
}

type Outcome =
  | { readonly kind: 'opened'; readonly entries: number; readonly repaired: boolean }
  | { readonly kind: 'refused'; readonly error: SkeinError }

/** Opens, and checks that the outcome is one of the two allowed: whole entries from the first on, or a refusal with all it must say. */
async function openAndCheck(files: FaultyDisk): Promise<Outcome> {
  let opened: RaftDiskOpened
  try {
    opened = await open(files)
  } catch (error) {
    if (!isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error
    const { file, offset } = error.detail
    const saysWhere =
      file.startsWith(dir) && error.message.startsWith(offset === undefined ? file : `${file} at offset ${offset}`)
    if (!saysWhere || !/join again as a new member/.test(error.message)) throw new Error(`an unhelpful refusal: ${error.message}`)
    return { kind: 'refused', error }
  }
  const { contents, repaired, disk } = opened
  contents.entries.forEach(({ index, term, data }, at) => {
    const expected = entry(at + 1, 1, data.length)
    if (index !== at + 1 || term !== 1 || !Buffer.from(data).equals(expected.data))
      throw new Error(`entry ${index} is not what was written`)
  })
  await disk.close()
  return { kind: 'opened', entries: contents.entries.length, repaired: repaired !== undefined }
}

/** Both at least `atLeast` times: a fault that only ever has one outcome is not the fault it is meant to be. */
class Tally {
  readonly counts: Record<string, number> = {}
  add(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
  has(...wanted: readonly string[]): boolean {
    return wanted.every((what) => (this.counts[what] ?? 0) > 0)
  }
}

async function withFile(files: FaultyDisk, path: string, bytes: Uint8Array): Promise<Outcome> {
  const damaged = files.copy()
  damaged.put(path, bytes)
  return openAndCheck(damaged)
}

function segments(files: FaultyDisk): readonly string[] {
  return files.paths().filter((path) => path.endsWith('.wal'))
}

t.test('any file of the log cut at every byte: the last one loses what the cut took, an earlier one is refused', async (t) => {
  const files = await written(9)
  const paths = segments(files)
  t.ok(paths.length >= 3)
  const tally = new Tally()
  for (const path of paths) {
    const isLast = path === paths.at(-1)
    const whole = files.bytes(path)
    for (let cut = 0; cut < usedBytes(whole); cut++) {
      const outcome = await withFile(files, path, whole.subarray(0, cut))
      tally.add(`${isLast ? 'last' : 'earlier'} ${outcome.kind}`)
      if (!isLast && outcome.kind === 'opened') t.fail(`${path} cut at ${cut} was opened`)
      // The first record of a segment is written before the segment has its name: only a later one can be cut short by a crash.
      if (isLast && outcome.kind === 'refused' && cut >= 150) t.fail(`cut at ${cut}: ${outcome.error.message}`)
    }
  }
  t.ok(tally.has('last opened', 'last refused', 'earlier refused'), JSON.stringify(tally.counts))
})

t.test('any bit of any file flipped: all is there, or a refusal; nothing acknowledged disappears', async (t) => {
  const count = 7
  const files = await written(count)
  const tally = new Tally()
  for (const path of segments(files)) {
    const whole = files.bytes(path)
    const end = usedBytes(whole)
    for (let at = 0; at < end; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(whole)
        bytes[at] = (bytes[at] as number) ^ (1 << bit)
        const outcome = await withFile(files, path, bytes)
        tally.add(outcome.kind)
        if (outcome.kind === 'opened' && outcome.entries !== count)
          t.fail(`${path}, bit ${bit} of ${at}: ${outcome.entries} entries`)
      }
    }
  }
  // What is opened has its flip in the padding between records.
  t.ok((tally.counts.refused ?? 0) > 10 * (tally.counts.opened ?? 0), JSON.stringify(tally.counts))
})

t.test('sectors lost, doubled or swapped, anywhere: all is there, the last write is taken off, or a refusal', async (t) => {
  const count = 11
  const files = await written(count, 700, 3000)
  t.ok(segments(files).length >= 2, 'several records in each of several segments')
  const tally = new Tally()
  const check = (name: string, outcome: Outcome): void => {
    tally.add(`${name} ${outcome.kind === 'opened' && outcome.entries < count ? 'shortened' : outcome.kind}`)
    if (outcome.kind === 'refused' || outcome.entries === count) return
    // Only of the last record may it be said that it never arrived.
    if (outcome.entries !== count - 1 || !outcome.repaired) t.fail(`${name}: ${outcome.entries} of ${count} entries`)
  }
  for (const path of segments(files)) {
    const whole = files.bytes(path)
    const sectors = Math.ceil(usedBytes(whole) / sectorBytes)
    const sector = (at: number): Buffer => whole.subarray(at * sectorBytes, (at + 1) * sectorBytes)
    for (let at = 0; at < sectors; at++) {
      const lost = Buffer.from(whole)
      lost.fill(0, at * sectorBytes, (at + 1) * sectorBytes)
      check('lost', await withFile(files, path, lost))
      for (let other = 0; other < sectors; other++) {
        if (other === at) continue
        const doubled = Buffer.from(whole)
        sector(other).copy(doubled, at * sectorBytes)
        check('doubled', await withFile(files, path, doubled))
        const swapped = Buffer.from(doubled)
        sector(at).copy(swapped, other * sectorBytes)
        check('swapped', await withFile(files, path, swapped))
      }
    }
  }
  t.ok(tally.has('lost shortened', 'lost refused', 'doubled refused', 'swapped refused'), JSON.stringify(tally.counts))
})

t.test('sectors of an older write of the same file in place of newer ones are never taken for them', async (t) => {
  const before = await written(4, 300)
  const path = segments(before).at(-1) as string
  const { disk } = await open(before)
  const old = before.bytes(path)
  await disk.append([{ entries: [entry(5, 1, 300)], hardState: { term: 1, vote: 2, commit: 4 } }])
  await disk.close()
  const whole = before.bytes(path)
  for (let at = 0; at + sectorBytes <= old.length; at += sectorBytes) {
    const mixed = Buffer.from(whole)
    old.copy(mixed, at, at, at + sectorBytes)
    const outcome = await withFile(before, path, mixed)
    if (outcome.kind === 'opened') t.ok(outcome.entries >= 4, `sector ${at / sectorBytes}: ${outcome.entries} entries`)
  }
})

t.test(
  'garbage behind the last record, where a file system left its blocks as they were: all is there, or a refusal',
  async (t) => {
    const count = 5
    const files = new FaultyDisk()
    const { disk } = await RaftDisk.open({ dir, ...owner, files, growBytes: 8 * sectorBytes })
    for (let index = 1; index <= count; index++) {
      await disk.append([{ entries: [entry(index)], hardState: { term: 1, vote: 2, commit: index - 1 } }])
    }
    await disk.close()
    const path = segments(files).at(-1) as string
    const random = seededRandom(3)
    const tally = new Tally()
    for (let times = 0; times < 400; times++) {
      const bytes = files.bytes(path)
      const end = Math.ceil(usedBytes(bytes) / 8) * 8
      const from = end + below(random, bytes.length - end)
      const to = Math.min(bytes.length, from + 1 + below(random, 700))
      for (let at = from; at < to; at++) bytes[at] = below(random, 256)
      // Also what looks like a record: a copy of the first one, which belongs elsewhere in the chain.
      if (times % 3 === 0) bytes.copy(bytes, end, 64, 64 + 88)
      const outcome = await withFile(files, path, bytes)
      tally.add(outcome.kind)
      if (outcome.kind === 'opened' && outcome.entries !== count) t.fail(`${outcome.entries} entries`)
    }
    t.ok(tally.has('opened', 'refused'), JSON.stringify(tally.counts))
  },
)

t.test('what a cut-short write left is gone for good: the next, shorter write is not taken for damage', async (t) => {
  const files = new FaultyDisk()
  const { disk } = await RaftDisk.open({ dir, ...owner, files, growBytes: 1024 })
  await disk.append([{ entries: [entry(1)], hardState: { term: 1, vote: 0, commit: 0 } }])
  const path = segments(files)[0] as string
  const start = Math.ceil(usedBytes(files.bytes(path)) / 8) * 8
  await disk.append([{ entries: [entry(2, 1, 3000)] }])
  const torn = files.bytes(path)
  // Of the long write all sectors came but the first; behind a short write the rest would look like acknowledged bytes.
  torn.fill(0, start, Math.ceil(start / sectorBytes) * sectorBytes)
  files.put(path, torn)
  const reopened = await RaftDisk.open({ dir, ...owner, files, growBytes: 1024 })
  t.match(reopened.repaired, { file: path, offset: start })
  t.equal(files.bytes(path).length, start, 'the rest of it was cut off')
  t.ok(files.bytes(`${path}.${start}.broken`).equals(torn), 'and a copy kept')
  await reopened.disk.append([{ entries: [entry(2, 2)], hardState: { term: 2, vote: 0, commit: 0 } }])
  const again = await RaftDisk.open({ dir, ...owner, files, growBytes: 1024 })
  t.equal(again.repaired, undefined, 'a repair repairs')
  t.same(
    again.contents.entries.map(({ index, term }) => [index, term]),
    [
      [1, 1],
      [2, 2],
    ],
  )
})

/** Appends one by one, with a rotation, a snapshot and a release on the way; how many entries were acknowledged. */
async function work(disk: RaftDisk, done: (acknowledged: number) => void): Promise<void> {
  for (let index = 1; index <= 10; index++) {
    await disk.append([{ entries: [entry(index)], hardState: { term: 1, vote: 2, commit: index - 1 } }])
    done(index)
    if (index !== 6) continue
    await disk.saveSnapshot({ index: 4, term: 1, confState: conf }, [Buffer.from('state at 4')])
    await disk.append([{ snapshot: { kind: 'taken', index: 4, term: 1, confState: conf } }])
    await disk.release()
  }
}

for (const [verb, code] of [
  ['write', 'EIO'],
  ['write', 'ENOSPC'],
  ['sync', 'EIO'],
  ['rename', 'EIO'],
  ['syncDir', 'EIO'],
  ['create', 'EIO'],
  ['create', 'ENOSPC'],
  ['create', 'EMFILE'],
  ['remove', 'EIO'],
] as const) {
  t.test(`${code} on any ${verb}: the peer hears of it, and a restart finds all that was acknowledged`, async (t) => {
    let failures = 0
    for (let skip = 0; ; skip++) {
      const files = new FaultyDisk()
      let seen = 0
      let failed: Operation | undefined
      files.fault = (operation) => {
        if (operation.verb !== verb || seen++ !== skip) return undefined
        failed = operation
        return systemError(code, verb)
      }
      let acknowledged = 0
      const told = await open(files)
        .then(({ disk }) => work(disk, (count) => (acknowledged = count)))
        .then(
          () => undefined,
          (error: unknown) => error,
        )
      if (failed === undefined) break
      failures++
      if (!isSkeinError(told, 'ERR_SKEIN_STORAGE')) return void t.fail(`${failed.path}: ${String(told)}`)
      if (!told.message.includes(dir) || !/[Cc]heck the disk/.test(told.message)) t.fail(`an unhelpful error: ${told.message}`)
      for (const after of [files.copy(), files.afterPowerCut(seededRandom(skip))]) {
        const { contents, disk } = await open(after)
        const last = contents.entries.at(-1)?.index ?? contents.snapshot?.index ?? 0
        if (last < acknowledged || last > acknowledged + 1) t.fail(`${failed.path}: ${last} of ${acknowledged} entries`)
        await disk.close()
      }
    }
    t.ok(failures > 0, `${failures} places`)
  })
}

for (const [verb, code] of [
  ['open', 'EIO'],
  ['read', 'EIO'],
  ['list', 'EIO'],
  ['open', 'EMFILE'],
] as const) {
  t.test(`${code} on any ${verb} at the start: a refusal that names the place, and nothing has changed`, async (t) => {
    const files = await written(8)
    let failures = 0
    for (let skip = 0; ; skip++) {
      const damaged = files.copy()
      let seen = 0
      let failed: Operation | undefined
      damaged.fault = (operation) => {
        if (operation.verb !== verb || seen++ !== skip) return undefined
        failed = operation
        return Object.assign(systemError(code, verb), { path: operation.path })
      }
      const told = await open(damaged).catch((error: unknown) => error)
      if (failed === undefined) break
      failures++
      t.match(told, { code: 'ERR_SKEIN_STORAGE', detail: { file: failed.path, syscall: verb } })
      damaged.fault = () => undefined
      const again = await openAndCheck(damaged)
      t.match(again, { kind: 'opened', entries: 8 })
    }
    t.ok(failures > 0, `${failures} places`)
  })
}

for (const code of ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR']) {
  t.test(`${code} at the start: the directory is unusable, and the refusal says what would be usable`, async (t) => {
    for (const verb of ['makeDir', 'list', 'create'] as const) {
      const files = new FaultyDisk()
      files.fault = (operation) => (operation.verb === verb ? systemError(code, verb) : undefined)
      await t.rejects(open(files), { code: 'ERR_SKEIN_DIR_UNUSABLE', message: /may create, read and write/ }, verb)
    }
  })
}

t.test('segments that a crash in a release left behind are read over, and go with the next release', async (t) => {
  const files = await written(14)
  const { disk } = await open(files)
  await disk.saveSnapshot({ index: 12, term: 1, confState: conf }, [Buffer.from('state at 12')])
  await disk.append([{ snapshot: { kind: 'taken', index: 12, term: 1, confState: conf } }])
  const old = files.copy()
  await disk.release()
  await disk.close()
  const gone = segments(old).filter((path) => !segments(files).includes(path))
  t.ok(gone.length >= 2, `${gone.length} were released`)

  const left = files.copy()
  const newestGone = gone.at(-1) as string
  left.put(newestGone, old.bytes(newestGone))
  const reopened = await open(left)
  t.same(
    reopened.contents.entries.map(({ index }) => index),
    [13, 14],
  )
  await reopened.disk.release()
  await reopened.disk.close()
  t.notOk(left.paths().includes(newestGone))

  const gap = files.copy()
  const oldest = gone[0] as string
  gap.put(oldest, old.bytes(oldest))
  // Removed one by one, oldest first: a release leaves no gap.
  await t.rejects(open(gap), { code: 'ERR_SKEIN_CORRUPT', message: /the segment is missing/ })
})

t.test('temporary files of a crash, and a snapshot that the log does not know yet, are cleared away', async (t) => {
  const files = await written(5)
  const leftovers = [
    `${dir}/log/000000000009.wal.tmp`,
    `${dir}/snapshots/${'3'.padStart(16, '0')}-1.snapshot.1.tmp`,
    `${dir}/snapshots/${'4'.padStart(16, '0')}-1.snapshot`,
  ]
  for (const path of leftovers) files.put(path, Buffer.from('half of it'))
  t.match(await openAndCheck(files), { kind: 'opened', entries: 5 })
  t.same(
    files.paths().filter((path) => leftovers.includes(path)),
    [],
  )
})

t.test(
  'a process killed at any step, and the power cut at the next: what the second start promised, the third finds',
  async (t) => {
    for (const durableWrites of [false, true]) {
      let steps = 0
      for (let kill = 0; ; kill++) {
        const files = new FaultyDisk({ durableWrites })
        const { wal } = await Wal.open({ dir, ...owner, ...sizes, files })
        const until = files.operations + kill
        files.fault = ({ count }) => (count < until ? undefined : new Error('killed'))
        let isDone = true
        for (let index = 1; isDone && index <= 8; index++) {
          const write = wal.append([{ entries: [entry(index)], hardState: { term: 1, vote: 2, commit: 0 } }])
          isDone = await write.then(
            () => true,
            () => false,
          )
        }
        files.fault = () => undefined
        const second = await Wal.open({ dir, ...owner, ...sizes, files })
        const promised = second.wal.lastIndex
        for (let seed = 0; seed < 4; seed++) {
          const third = await Wal.open({ dir, ...owner, ...sizes, files: files.afterPowerCut(seededRandom(kill * 10 + seed)) })
          if (third.wal.lastIndex !== promised) t.fail(`killed at ${kill}: ${promised} promised, ${third.wal.lastIndex} found`)
        }
        steps = kill
        if (isDone) break
      }
      t.ok(steps > 15, `${steps} steps`)
    }
  },
)
