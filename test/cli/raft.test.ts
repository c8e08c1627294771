import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createPeer } from '../../lib/index.js'
import { lockPeerDir } from '../../lib/peer/lock.js'
import { encodeConfChange } from '../../lib/raft/core/index.js'
import { RaftDisk } from '../../lib/raft/index.js'
import { fakeWorld, run } from './fake-world.js'

function freshDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'skein-cli-raft-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** A manager that has written a key and is stopped. */
async function stoppedManager(t: Test): Promise<string> {
  const dir = freshDir(t)
  const peer = await createPeer({ dir, timing: { tickMs: 20, electionTicks: 10 } })
  t.teardown(() => peer.stop())
  await peer.kv.put('colour', 'a secret hue')
  await peer.stop()
  return dir
}

t.test('raft verify of a whole log exits 0, of a damaged one 1 and says where, what is lost and what to do', async (t) => {
  const dir = await stoppedManager(t)
  const good = fakeWorld()
  t.equal(await run(good, `raft verify ${dir}`), 0, good.err())
  t.match(good.out(), /✔ 000000000001\.wal +\d+ records, \d+ entries, 1 \(term 1\) to \d+/)
  t.match(good.out(), /a peer can start on it/)
  const json = fakeWorld()
  t.equal(await run(json, `raft verify ${dir} --format json`), 0)
  t.match(JSON.parse(json.out()), { damage: [], segments: [{ tail: 'clean' }], hardState: {} })

  const [name] = await readdir(join(dir, 'raft', 'log'))
  const file = join(dir, 'raft', 'log', name as string)
  const bytes = await readFile(file)
  bytes[200] = (bytes[200] as number) ^ 1
  await writeFile(file, bytes)
  const bad = fakeWorld()
  t.equal(await run(bad, `raft verify ${dir}`), 1)
  t.match(bad.out(), new RegExp(`✖ ${file} at offset \\d+: `))
  t.match(bad.out(), /lost: .*\n +remedy: .*new member/)
  t.same(await readFile(file), bytes, 'it was only looked at')
})

t.test('raft dump prints each record, keeps values to itself, and takes a range', async (t) => {
  const dir = await stoppedManager(t)
  const world = fakeWorld()
  t.equal(await run(world, `raft dump ${dir}`), 0, world.err())
  t.match(world.out(), /command {2}\d+ B {2}kv\.put colour/)
  t.match(world.out(), /conf {2}\d+ B {2}v\d+/)
  t.match(world.out(), /hardState/)
  t.notMatch(world.out(), /secret hue/)
  const lines = fakeWorld()
  t.equal(await run(lines, `raft dump ${dir} --from 1 --to 2 --format jsonl`), 0)
  const parsed = lines
    .out()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly index: number })
  t.same(
    parsed.map(({ index }) => index),
    [1, 2],
  )
  const array = fakeWorld()
  t.equal(await run(array, `raft dump ${dir} --format json`), 0)
  t.ok((JSON.parse(array.out()) as { type: string }[]).some(({ type }) => type === 'command'))
})

t.test('a directory in use, one without a log, and one that is not there are refused', async (t) => {
  const dir = freshDir(t)
  const peer = await createPeer({ dir, timing: { tickMs: 20, electionTicks: 10 } })
  t.teardown(() => peer.stop())
  for (const command of ['verify', 'dump']) {
    const world = fakeWorld()
    t.equal(await run(world, `raft ${command} ${dir}`), 1)
    t.match(world.err(), /ERR_SKEIN_DIR_IN_USE: a peer runs on .*stop it first/)
    t.equal(world.out(), '')
  }
  for (const nothing of [freshDir(t), join(dir, 'nowhere')]) {
    const world = fakeWorld()
    t.equal(await run(world, `raft verify ${nothing}`), 2)
    t.match(world.err(), /no raft log is there; give the data directory of a manager/)
  }
  const usage = fakeWorld()
  t.equal(await run(usage, `raft dump ${dir} --from -1`), 2)
})

t.test('a log that skein/raft uses alone is looked at only once it is closed', async (t) => {
  const dir = freshDir(t)
  const { disk } = await RaftDisk.open({ dir, clusterId: 'c1u2s3t4e5r6', nodeId: 1 })
  await disk.append([{ hardState: { term: 1, vote: 1, commit: 0 } }])
  for (const command of ['verify', 'dump', 'recover']) {
    const world = fakeWorld()
    t.equal(await run(world, `raft ${command} ${dir}`), 1)
    t.match(world.err(), /ERR_SKEIN_DIR_IN_USE: a peer runs on .*stop it first/)
  }
  await disk.close()
  const closed = fakeWorld()
  t.equal(await run(closed, `raft verify ${dir}`), 0, closed.err())
  rmSync(join(dir, 'lock'), { recursive: true })
  const copy = fakeWorld()
  t.equal(await run(copy, `raft verify ${dir}`), 0, 'a copy without the lock')
  t.notOk(existsSync(join(dir, 'lock')), 'looking makes none')
})

t.test('raft recover says what it would do, does it with --yes, and refuses when there is nothing to recover', async (t) => {
  const dir = await stoppedManager(t)
  const alone = fakeWorld()
  t.equal(await run(alone, `raft recover ${dir} --yes`), 1)
  t.match(alone.err(), /nothing to recover: raft id \d+ is the only member already/)

  await addLostManager(dir)
  const plan = fakeWorld()
  t.equal(await run(plan, `raft recover ${dir}`), 0, plan.err())
  t.match(plan.out(), /to be removed for ever: raft ids 77\n/)
  t.match(plan.out(), /1 more become committed, whether or not a majority had them:\n.*conf.*v77/)
  t.match(plan.out(), /nothing was changed/)
  const done = fakeWorld()
  t.equal(await run(done, `raft recover ${dir} --yes --format json`), 0, done.err())
  t.match(JSON.parse(done.out()), { state: 'done', removed: [77], becomesCommitted: [{ change: 'v77' }] })

  const peer = await createPeer({ dir, timing: { tickMs: 20, electionTicks: 10 } })
  t.teardown(() => peer.stop())
  t.equal(Buffer.from((await peer.kv.get('colour'))?.value ?? '').toString(), 'a secret hue')
  t.equal(peer.status().quorum.voters, 1)
})

/** A second voter at the end of the log, not known to be committed: alone this manager has no majority any more. */
async function addLostManager(dir: string): Promise<void> {
  const { cluster: clusterId, raftId: nodeId } = JSON.parse(await readFile(join(dir, 'identity.json'), 'utf8')) as {
    readonly cluster: string
    readonly raftId: number
  }
  const { disk, contents } = await RaftDisk.open({ dir: join(dir, 'raft'), clusterId, nodeId })
  const term = contents.hardState?.term ?? 0
  const change = encodeConfChange({ v1: true, changes: [{ type: 'v', nodeId: 77 }] })
  await disk.append([{ entries: [{ ...change, term, index: (contents.entries.at(-1)?.index ?? 0) + 1 }] }])
  await disk.close()
}

t.test(
  'raft dump and recover open a locked manager with its passphrase; without it dump says what is sealed and how to open it',
  async (t) => {
    const dir = await stoppedManager(t)
    await lockPeerDir(dir, 'correct horse')
    const shut = fakeWorld()
    t.equal(await run(shut, `raft dump ${dir}`), 0, shut.err())
    t.match(shut.out(), /sealed {2}\d+ B/)
    t.notMatch(shut.out(), /kv\.put/)
    t.match(shut.err(), /\d+ commands are sealed; to open them set SKEIN_PASSPHRASE/)
    const verified = fakeWorld()
    t.equal(await run(verified, `raft verify ${dir}`), 0, 'to verify takes no key')
    const opened = fakeWorld({ env: { SKEIN_PASSPHRASE: 'correct horse' } })
    t.equal(await run(opened, `raft dump ${dir}`), 0, opened.err())
    t.match(opened.out(), /command {2}\d+ B {2}kv\.put colour/)
    t.equal(opened.err(), '')
    const wrong = fakeWorld({ env: { SKEIN_PASSPHRASE: 'wrong horse' } })
    t.equal(await run(wrong, `raft dump ${dir}`), 1)
    t.match(wrong.err(), /ERR_SKEIN_LOCKED.*this passphrase does not open them/)

    await addLostManager(dir)
    const locked = fakeWorld()
    t.equal(await run(locked, `raft recover ${dir} --yes`), 1)
    t.match(locked.err(), /ERR_SKEIN_LOCKED.*sealed with a passphrase/)
    const done = fakeWorld({ env: { SKEIN_PASSPHRASE: 'correct horse' } })
    t.equal(await run(done, `raft recover ${dir} --yes`), 0, done.err())
    t.match(done.out(), /is the only voter/)
    const after = fakeWorld({ env: { SKEIN_PASSPHRASE: 'correct horse' } })
    t.equal(await run(after, `raft dump ${dir}`), 0)
    t.match(after.out(), /cluster\.recover/)
  },
)

t.test('raft dump of a log without its keys, or with those of another manager, says which to put there', async (t) => {
  const [dir, other] = [await stoppedManager(t), await stoppedManager(t)]
  const keys = await readFile(join(dir, 'keys.json'))
  await writeFile(join(dir, 'keys.json'), await readFile(join(other, 'keys.json')))
  const foreign = fakeWorld()
  t.equal(await run(foreign, `raft dump ${dir}`), 0, foreign.err())
  t.notMatch(foreign.out(), /kv\.put/)
  t.match(foreign.err(), /put back the keys\.json that was written with this log/)
  rmSync(join(dir, 'keys.json'))
  const bare = fakeWorld()
  t.equal(await run(bare, `raft dump ${dir} --format jsonl`), 0, bare.err())
  t.match(bare.err(), /put identity\.json and keys\.json of this manager beside raft\//)
  t.match(bare.out(), /"type":"sealed".*"remedy":"put identity/)
  await writeFile(join(dir, 'keys.json'), keys)
  const whole = fakeWorld()
  t.equal(await run(whole, `raft dump ${dir}`), 0)
  t.match(whole.out(), /kv\.put colour/)
})
