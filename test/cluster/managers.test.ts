import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { eventually, freshDir, startPeer } from './support.js'

const managers = 3

/** Names of managers by what they are in raft. */
async function byRaftRole(peer: Peer): Promise<{ readonly voters: string; readonly learners: string }> {
  const { items } = await peer.nodes.list()
  const named = (...roles: readonly string[]): string =>
    items
      .filter(({ raft }) => raft !== undefined && roles.includes(raft))
      .map(({ name }) => name)
      .sort()
      .join()
  return { voters: named('leader', 'voter'), learners: named('learner') }
}

t.test(
  'of four managers three vote; one that is gone for long gives its place to the spare one',
  { timeout: 180_000 },
  async (t) => {
    const m1 = await startPeer(t, { name: 'm1', managers })
    const invitation = await m1.invite('manager')
    await startPeer(t, { name: 'm2', managers, join: invitation })
    const dir = freshDir(t)
    const m3 = await startPeer(t, { name: 'm3', dir, managers, join: invitation })
    await eventually('three voters', async () => (await byRaftRole(m1)).voters === 'm1,m2,m3')
    await startPeer(t, { name: 'm4', managers, join: invitation })
    await eventually('a spare one', async () => (await byRaftRole(m1)).learners === 'm4')

    await m3.stop()
    await eventually('its place is taken', async () => (await byRaftRole(m1)).voters === 'm1,m2,m4')
    t.equal((await byRaftRole(m1)).learners, 'm3', 'its record stays, and it may come back')
    await m1.kv.put('colour', 'blue')
    await startPeer(t, { dir, managers })
    await eventually('it is ready again', async () => (await m1.nodes.get('m3')).state === 'ready')
    t.same(await byRaftRole(m1), { voters: 'm1,m2,m4', learners: 'm3' }, 'as the spare one')

    await m1.nodes.demote('m4')
    await eventually('the spare one votes in its place', async () => (await byRaftRole(m1)).voters === 'm1,m2,m3')
    await m1.nodes.promote('m4')
    await eventually('promoted, it is the spare one', async () => (await byRaftRole(m1)).learners === 'm4')
  },
)
