import { cp, mkdtemp, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { inspectLog, listLog, RaftDisk } from '../../../lib/raft/wal/index.js'

const conf = { voters: [1, 2], votersOutgoing: [], learners: [3], learnersNext: [], autoLeave: false }
const owner = { clusterId: 'c', nodeId: 1 }

async function tempDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-inspect-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

function entry(index: number, term: number, text = `${index}.${term}`) {
  return { type: 'EntryNormal', term, index, data: Buffer.from(text) } as const
}

/** Several segments, a snapshot, a replaced suffix. */
async function makeLog(dir: string): Promise<void> {
  const { disk } = await RaftDisk.open({ dir, ...owner, segmentBytes: 700, growBytes: 1024 })
  for (let index = 1; index <= 20; index++) {
    await disk.append([{ entries: [entry(index, 1)], hardState: { term: 1, vote: 1, commit: index - 1 } }])
  }
  await disk.saveSnapshot({ index: 8, term: 1, confState: conf }, [Buffer.from('state'), Buffer.from('more')])
  await disk.append([{ snapshot: { kind: 'taken', index: 8, term: 1, confState: conf } }])
  await disk.release()
  await disk.append([{ entries: [entry(20, 2), entry(21, 2)], hardState: { term: 2, vote: 2, commit: 19 } }])
  await disk.close()
}

async function bytesOf(dir: string): Promise<Readonly<Record<string, string>>> {
  const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((each) => each.isFile())
  return Object.fromEntries(
    await Promise.all(
      files.map(async ({ parentPath, name }) => [join(parentPath, name), await readFile(join(parentPath, name), 'hex')]),
    ),
  )
}

t.test('a whole log is told file by file: records, entries, terms, votes, snapshots', async (t) => {
  const dir = await tempDir(t)
  await makeLog(dir)
  const report = await inspectLog(dir)
  t.same(report.damage, [])
  t.ok(report.segments.length > 1)
  t.same(
    report.segments.map(({ tail }) => tail),
    [...report.segments.slice(1).map(() => 'sealed'), 'clean'],
  )
  t.same(report.segments.at(-1)?.last, { index: 21, term: 2 })
  t.same(report.hardState, { term: 2, vote: 2, commit: 19 })
  t.match(report.snapshot, { index: 8, term: 1, confState: conf })
  t.same(report.snapshots, [{ index: 8, term: 1, state: 'current', chunks: 2, sizeBytes: 9 }])
  t.equal(report.lastIndex, 21)
})

t.test('listed in the order of writing, an entry that was replaced later says so', async (t) => {
  const dir = await tempDir(t)
  await makeLog(dir)
  const items = await listLog(dir)
  const at20 = items.flatMap((item) =>
    item.type === 'entry' && item.entry.index === 20 ? [[item.entry.term, item.replaced]] : [],
  )
  t.same(at20, [
    [1, true],
    [2, false],
  ])
  t.ok(items.some(({ type }) => type === 'seal'))
  t.same(items.filter((item) => item.type === 'snapshot').at(-1)?.mark.index, 8)
})

t.test(
  'it says damage exactly when a peer could not start, names a file, and changes nothing',
  { timeout: 120_000 },
  async (t) => {
    const whole = await tempDir(t)
    await makeLog(whole)
    const root = await tempDir(t)
    const kinds = fc.constantFrom('flip', 'cut', 'drop', 'zero-sector', 'cut-end', 'cut-end', 'write-ahead')
    const seen = { damaged: 0, fine: 0 }
    await fc.assert(
      fc.asyncProperty(
        kinds,
        fc.nat(1_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        async (kind, which, where) => {
          const dir = join(root, 'case')
          await rm(dir, { recursive: true, force: true })
          await cp(whole, dir, { recursive: true })
          const logs = (await readdir(join(dir, 'log'))).sort()
          const atEnd = kind === 'cut-end' || kind === 'write-ahead'
          const file = join(dir, 'log', (atEnd ? logs.at(-1) : logs[which % logs.length]) as string)
          const bytes = await readFile(file)
          const used = bytes.findLastIndex((byte) => byte !== 0) + 1
          const offset = Math.floor(where * used)
          if (kind === 'drop') await unlink(file)
          else if (kind === 'cut') await truncate(file, offset)
          else if (kind === 'cut-end') await truncate(file, used - (which % 120))
          else if (kind === 'write-ahead') {
            bytes.fill(which % 256, used, used + (which % 40))
            await writeFile(file, bytes)
          } else {
            if (kind === 'flip') bytes[offset] = (bytes[offset] as number) ^ 0x40
            else bytes.fill(0, offset - (offset % 512), Math.min(bytes.length, offset - (offset % 512) + 512))
            await writeFile(file, bytes)
          }
          const before = await bytesOf(dir)
          const { damage } = await inspectLog(dir)
          t.same(await bytesOf(dir), before, 'nothing was changed')
          const opened = await RaftDisk.open({ dir, ...owner }).then(
            ({ disk }) => disk.close().then(() => 'opened' as const),
            (error: unknown) => error,
          )
          if (opened === 'opened') seen.fine++
          else seen.damaged++
          const isTold =
            damage.length > 0 && damage.every((each) => each.file.startsWith(dir) && each.lost !== '' && each.remedy !== '')
          return opened === 'opened' ? damage.length === 0 : isTold
        },
      ),
      { numRuns: 150, seed: 7 },
    )
    t.ok(seen.damaged > 20 && seen.fine > 5, `both happened: ${JSON.stringify(seen)}`)
  },
)

t.test('a damaged snapshot is damage when the log refers to it', async (t) => {
  const dir = await tempDir(t)
  await makeLog(dir)
  const [name] = await readdir(join(dir, 'snapshots'))
  const file = join(dir, 'snapshots', name as string)
  const bytes = await readFile(file)
  bytes[bytes.length - 60] = (bytes[bytes.length - 60] as number) ^ 1
  await writeFile(file, bytes)
  t.match((await inspectLog(dir)).damage, [{ file, why: /damaged/, lost: 'entries 1 to 8' }])
  await unlink(file)
  t.match((await inspectLog(dir)).damage, [{ why: /missing/, lost: 'entries 1 to 8' }])
})
