// The log on real file systems and beside real processes: what no model of a disk can vouch for.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isSkeinError } from '../../../lib/base/errors.js'
import { makeDirs } from '../../../lib/raft/wal/files.js'
import { inspectLog, RaftDisk } from '../../../lib/raft/wal/index.js'

const owner = { clusterId: 'c1u2s3t4e5r6', nodeId: 7 }
const isRoot = process.getuid?.() === 0
const modulePath = new URL('../../../lib/raft/wal/index.js', import.meta.url).href

async function tempDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-disk-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A file system of its own in memory; undefined where this process may not mount one. */
async function mountTmpfs(t: Test, sizeKiB: number): Promise<string | undefined> {
  const dir = await tempDir(t)
  if (process.platform !== 'linux' || !isRoot) return undefined
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeKiB}k`, 'tmpfs', dir], { stdio: 'ignore' })
  } catch {
    return undefined // root of a container may not mount
  }
  t.teardown(() => void execFileSync('umount', ['-l', dir]))
  return dir
}

/** Says why nothing was tested. */
function skip(t: Test, reason: string): void {
  t.comment(reason)
  t.pass(`skipped: ${reason}`, { skip: reason })
}

function batch(index: number, sizeBytes: number) {
  const entry = { type: 'EntryNormal', term: 1, index, data: Buffer.alloc(sizeBytes, index % 251) } as const
  return { entries: [entry], hardState: { term: 1, vote: 2, commit: index - 1 } }
}

/** Another process that opens the directory, says what became of that, and keeps it until it is killed. */
function holder(t: Test, dir: string) {
  const code = `
    const { RaftDisk } = await import(${JSON.stringify(modulePath)})
    try {
      const { disk } = await RaftDisk.open({ dir: ${JSON.stringify(dir)}, ...${JSON.stringify(owner)} })
      await disk.append([{ hardState: { term: 3, vote: 2, commit: 0 } }])
      process.stdout.write('held')
      setInterval(() => {}, 1000)
    } catch (error) {
      process.stdout.write(error.code)
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, said: once(child.stdout, 'data').then(([data]) => String(data)) }
}

t.test('two processes on one raft directory: the second is refused, until the first is gone, even by SIGKILL', async (t) => {
  const dir = await tempDir(t)
  const first = holder(t, dir)
  t.equal(await first.said, 'held')
  const before = await readdir(join(dir, 'log'))
  await writeFile(join(dir, 'snapshots', 'being-written.tmp'), 'by the first')
  await t.rejects(RaftDisk.open({ dir, ...owner }), { code: 'ERR_SKEIN_DIR_IN_USE', message: /stop it first/, detail: { dir } })
  t.equal(await holder(t, dir).said, 'ERR_SKEIN_DIR_IN_USE', 'also to a third process')
  t.same(await readdir(join(dir, 'log')), before)
  t.ok((await readdir(join(dir, 'snapshots'))).includes('being-written.tmp'), 'nothing of the first was touched')
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const { disk, contents } = await RaftDisk.open({ dir, ...owner })
  t.match(contents.hardState, { term: 3, vote: 2 })
  await t.rejects(RaftDisk.open({ dir, ...owner }), { code: 'ERR_SKEIN_DIR_IN_USE' }, 'nor twice in one process')
  await disk.close()
  await disk.close()
  await (await RaftDisk.open({ dir, ...owner })).disk.close()
})

t.test('a lock that a power cut left half made is made anew', async (t) => {
  const dir = await tempDir(t)
  await (await RaftDisk.open({ dir, ...owner })).disk.close()
  await writeFile(join(dir, 'lock', 'CURRENT'), '')
  for (const name of await readdir(join(dir, 'lock')))
    if (name.startsWith('MANIFEST')) await writeFile(join(dir, 'lock', name), 'x')
  await (await RaftDisk.open({ dir, ...owner })).disk.close()
})

t.test('a refused log leaves the directory free for who looks at it', async (t) => {
  const dir = await tempDir(t)
  await (await RaftDisk.open({ dir, ...owner })).disk.close()
  await t.rejects(RaftDisk.open({ dir, ...owner, nodeId: 8 }), { code: 'ERR_SKEIN_DIR_UNUSABLE' })
  await (await RaftDisk.open({ dir, ...owner })).disk.close()
})

t.test('a full disk: the write is refused, and with room again all that was acknowledged is there', async (t) => {
  const dir = await mountTmpfs(t, 400)
  if (dir === undefined) return skip(t, 'needs root and the right to mount a tmpfs')
  const raft = join(dir, 'raft')
  const sizes = { segmentBytes: 64 * 1024, growBytes: 16 * 1024 }
  for (const round of [1, 2, 3]) {
    const { disk, contents } = await RaftDisk.open({ dir: raft, ...owner, ...sizes })
    const ballast = join(dir, 'ballast')
    let acknowledged = contents.entries.length
    await writeFile(ballast, Buffer.alloc((160 - round * 20) * 1024))
    for (;;) {
      const error = await disk.append([batch(acknowledged + 1, 1500)]).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (error === undefined) {
        acknowledged++
        continue
      }
      t.match(error, { code: 'ERR_SKEIN_STORAGE', message: /ENOSPC/ })
      break
    }
    await t.rejects(disk.append([batch(acknowledged + 1, 1)]), { code: 'ERR_SKEIN_STORAGE' }, 'it does not try again by itself')
    await disk.close()
    await rm(ballast)
    const again = await RaftDisk.open({ dir: raft, ...owner, ...sizes })
    const found = again.contents.entries
    t.ok(
      found.length === acknowledged || found.length === acknowledged + 1,
      `${found.length} found, ${acknowledged} acknowledged`,
    )
    t.ok(
      found.every(({ index, data }, at) => index === at + 1 && Buffer.from(data).equals(Buffer.alloc(data.length, index % 251))),
    )
    await again.disk.close()
  }
})

t.test('a disk without room for the very first file is refused and leaves nothing that would count', async (t) => {
  const dir = await mountTmpfs(t, 64)
  if (dir === undefined) return skip(t, 'needs root and the right to mount a tmpfs')
  const opened = await RaftDisk.open({ dir: join(dir, 'raft'), ...owner }).catch((error: unknown) => error)
  t.ok(
    ['ERR_SKEIN_STORAGE', 'ERR_SKEIN_DIR_UNUSABLE'].some((code) => isSkeinError(opened, code as never)),
    String(opened),
  )
  t.same((await inspectLog(join(dir, 'raft'))).segments, [])
})

t.test('a read-only directory is refused as unusable, new or with a log in it', async (t) => {
  const dir = (await mountTmpfs(t, 4096)) ?? (isRoot ? undefined : await tempDir(t))
  if (dir === undefined) return skip(t, 'root may write anywhere, and may not mount here')
  const { disk } = await RaftDisk.open({ dir: join(dir, 'raft'), ...owner })
  await disk.append([batch(1, 10)])
  await disk.close()
  if (isRoot) execFileSync('mount', ['-o', 'remount,ro', dir])
  else for (const path of ['raft/lock', 'raft/log', 'raft/snapshots', 'raft', '']) await chmod(join(dir, path), 0o500)
  t.teardown(async () => {
    if (!isRoot) for (const path of ['', 'raft', 'raft/snapshots', 'raft/log', 'raft/lock']) await chmod(join(dir, path), 0o700)
  })
  for (const path of ['raft', 'new']) {
    await t.rejects(RaftDisk.open({ dir: join(dir, path), ...owner }), {
      code: 'ERR_SKEIN_DIR_UNUSABLE',
      message: /may create, read and write/,
    })
  }
  t.equal((await inspectLog(join(dir, 'raft'))).lastIndex, 1, 'looking at it needs no right to write')
})

t.test(
  'a directory that nobody can make is refused, and does not hang',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async (t) => {
    for (const dir of ['/proc/skein/raft', '/dev/null/raft']) {
      await t.rejects(RaftDisk.open({ dir, ...owner }), { code: 'ERR_SKEIN_DIR_UNUSABLE' }, dir)
    }
    const dir = await tempDir(t)
    await writeFile(join(dir, 'file'), '')
    await t.rejects(RaftDisk.open({ dir: join(dir, 'file'), ...owner }), { code: 'ERR_SKEIN_DIR_UNUSABLE' })
  },
)

t.test('each directory that is made is made durable in the one above it', async (t) => {
  const root = await tempDir(t)
  const synced: string[] = []
  const sync = async (dir: string): Promise<void> => void synced.push(dir)
  await makeDirs(join(root, 'a', 'b', 'c'), sync)
  t.same(synced, [root, join(root, 'a'), join(root, 'a', 'b')])
  await makeDirs(join(root, 'a', 'b', 'c'), sync)
  t.equal(synced.length, 3, 'one that is there is not made again')
})
