import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createPeer, type Peer } from '../../lib/index.js'
import { eventually, freshDir, patienceMs, quick, startPeer, type Teardown } from './support.js'

interface Three {
  /** Leads. */
  readonly m1: Peer
  readonly dir: string
  readonly invitation: string
  /** Starts the third manager again, on this directory. */
  third(dir: string): Promise<Peer>
}

/** Three managers; the third is stopped, and its directory is given. */
async function three(t: Teardown, beforeStop: (dir: string, m3: Peer) => Promise<Peer>): Promise<Three> {
  const dir = freshDir(t)
  const m1 = await startPeer(t, { name: 'm1' })
  const invitation = await m1.invite('manager')
  await startPeer(t, { name: 'm2', join: invitation })
  const m3 = await startPeer(t, { name: 'm3', dir, join: invitation })
  await eventually('three voters', async () => m1.status().quorum.voters === 3)
  await m1.kv.put('colour', 'blue')
  await (await beforeStop(dir, m3)).stop()
  const third = async (on: string): Promise<Peer> => {
    const peer = await createPeer({ name: 'm3', dir: on, timing: quick, signal: AbortSignal.timeout(patienceMs) })
    t.teardown(() => peer.stop())
    return peer
  }
  return { m1, dir, invitation, third }
}

const stays = async (_dir: string, m3: Peer): Promise<Peer> => m3

t.test(
  'a manager whose raft log was wiped is refused, though the rest of its directory is there',
  { timeout: 180_000 },
  async (t) => {
    const { m1, dir, third } = await three(t, stays)
    await rm(join(dir, 'raft'), { recursive: true })
    await t.rejects(third(dir), { code: 'ERR_SKEIN_CORRUPT', message: /log is gone.*join again as a new node/ })
    await rm(join(dir, 'db'), { recursive: true })
    await t.rejects(third(dir), { code: 'ERR_SKEIN_CORRUPT', message: /log is gone/ }, 'nor without its tables')
    await m1.kv.put('colour', 'green')
  },
)

t.test(
  'a manager that was put back to an older copy of its whole directory ends, and says what to do',
  { timeout: 180_000 },
  async (t) => {
    const copy = join(freshDir(t), 'copy')
    const { m1, dir, third } = await three(t, async (own, m3) => {
      await m3.stop()
      await cp(own, copy, { recursive: true })
      const again = await startPeer(t, { dir: own })
      return again
    })
    const again = await third(dir)
    for (let i = 0; i < 5; i++) await m1.kv.put('colour', `blue ${i}`)
    await eventually('the third has them', async () => again.status().appliedIndex >= m1.status().commitIndex)
    await again.stop()
    const { commitIndex } = m1.status()
    const outcome = await third(copy).then(
      (peer) => peer.ended, // it may have been taken for usable before the leader spoke to it
      (error: unknown) => error,
    )
    t.match(outcome, { code: 'ERR_SKEIN_CORRUPT', message: /acknowledged entry \d+, and its log ends at \d+/ })
    t.ok(m1.status().commitIndex >= commitIndex)
    await m1.kv.put('colour', 'green')
  },
)

t.test(
  'a manager whose directory was wiped whole comes back as a new node under a new raft id',
  { timeout: 180_000 },
  async (t) => {
    const { m1, dir, invitation } = await three(t, stays)
    const [raftId, node] = await eventually('its record', async () => {
      const { items } = await m1.nodes.list()
      const found = items.find(({ name }) => name === 'm3')
      return found?.state === 'down' ? ([found.raft, found.id] as const) : undefined
    })
    t.equal(raftId, 'voter')
    await rm(dir, { recursive: true })
    const again = { name: 'm3', dir, join: invitation, timing: quick }
    await t.rejects(createPeer(again), { code: 'ERR_SKEIN_ALREADY_EXISTS' }, 'its name is still taken')
    await rm(dir, { recursive: true })
    await m1.nodes.remove('m3')
    const m3 = await startPeer(t, again)
    t.not(m3.id, node)
    await eventually('three voters again', async () => {
      const { items } = await m1.nodes.list()
      return items.filter(({ raft }) => raft === 'voter' || raft === 'leader').length === 3
    })
  },
)

for (const role of ['worker', 'manager'] as const) {
  t.test(`a ${role} whose record is gone ends and says so, instead of waiting for ever`, { timeout: 180_000 }, async (t) => {
    const founderDir = freshDir(t)
    const before = join(freshDir(t), 'before')
    const founder = await startPeer(t, { name: 'm1', dir: founderDir })
    const invitation = await founder.invite(role)
    await founder.stop()
    await cp(founderDir, before, { recursive: true })
    const again = await startPeer(t, { dir: founderDir })
    const dir = freshDir(t)
    await (await startPeer(t, { name: 'w1', dir, join: invitation })).stop()
    await again.stop()
    await startPeer(t, { dir: before })
    await t.rejects(createPeer({ dir, timing: quick, signal: AbortSignal.timeout(patienceMs) }), {
      code: 'ERR_SKEIN_NOT_FOUND',
      message: /has no record of it; start it with an empty directory/,
    })
  })
}

t.test(
  'a copied data directory started beside the original is refused, and the original goes on',
  { timeout: 180_000 },
  async (t) => {
    const m1 = await startPeer(t, { name: 'm1' })
    await startPeer(t, { name: 'm2', join: await m1.invite('manager') })
    for (const role of ['worker', 'manager'] as const) {
      const [dir, copy] = [freshDir(t), join(freshDir(t), 'copy')]
      const name = `the-${role}`
      await (await startPeer(t, { name, dir, join: await m1.invite(role) })).stop()
      await cp(dir, copy, { recursive: true })
      const original = await startPeer(t, { dir })
      const outcome = await createPeer({ dir: copy, timing: quick, signal: AbortSignal.timeout(patienceMs) }).then(
        (peer) => peer.ended, // a manager may have been taken for usable before the others refused it
        (error: unknown) => error,
      )
      t.match(outcome, { code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: original.id } }, role)
      await original.kv.put('colour', role)
      await eventually(`${name} is ready`, async () => (await m1.nodes.get(name)).state === 'ready')
    }
  },
)
