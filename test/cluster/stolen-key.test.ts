/** What certificates of a cluster open in the hands of somebody who speaks the protocol himself: raw links to running peers. */
import t from 'tap'
import { createPeer, isSkeinError, type Peer } from '../../lib/index.js'
import { type Link, LinkPool } from '../../lib/overlay/transport/index.js'
import { askCredential, joinCluster } from '../../lib/peer/join.js'
import { systemClock, systemRandom } from '../../lib/peer/system-world.js'
import {
  Credentials,
  type CredentialsState,
  type LinkRole,
  makeKeyPair,
  parseJoinString,
  permissions,
  trustOfToken,
} from '../../lib/security/index.js'
import { eventually, freshDir, quick, startPeer, type Teardown } from './support.js'

t.setTimeout(180_000)

const thiefId = 'stolennode00'

function rawPool(t: Teardown, state: CredentialsState, node = ''): LinkPool {
  const credentials = new Credentials(state, Date.now)
  const host = { node, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined }
  const pool = LinkPool.client(host, { clock: systemClock, random: systemRandom })
  t.teardown(() => pool.stop())
  return pool
}

/** Somebody who has a join string, and then what he gets for it: a worker's certificate. */
async function thief(t: Teardown, joinString: string): Promise<LinkPool> {
  const { token, addresses } = parseJoinString(joinString)
  const pool = rawPool(t, { own: undefined, trust: trustOfToken(token) }, thiefId)
  const keys = await makeKeyPair()
  const about = { secret: token.secret, name: 'stolen', address: '127.0.0.1:1', availability: 'active', labels: {} } as const
  const { certificate, trust } = await joinCluster({
    ...{ pool, addresses, clock: systemClock, random: systemRandom, signal: undefined, keys, root: token.root },
    request: { id: thiefId, role: 'worker', ...about },
  })
  return rawPool(t, { own: { certificate, keys }, trust }, thiefId)
}

/** A client's certificate for a token: `app` for a worker's, `operator` for a manager's. */
async function client(t: Teardown, joinString: string): Promise<LinkPool> {
  const { token, addresses } = parseJoinString(joinString)
  const link = await rawPool(t, { own: undefined, trust: trustOfToken(token) }).dial(addresses[0] as string)
  const claim = { role: token.role, secret: token.secret }
  const { own, trust } = await askCredential(link, await makeKeyPair(), claim, systemRandom)
  return rawPool(t, { own, trust })
}

/** The verbs that this link refuses for who it is; what it may call it calls with nonsense. */
async function refusedVerbs(link: Link, role: LinkRole): Promise<string[]> {
  const isRefused = async (verb: string): Promise<boolean> => {
    const error = await link.call(verb, { no: 'sense' }, { deadlineMs: 20_000 }).catch((error: unknown) => error)
    return isSkeinError(error, 'ERR_SKEIN_FORBIDDEN') && error.detail.verb === verb && error.detail.role === role
  }
  const verbs = Object.keys(permissions)
  const answers = await Promise.all(verbs.map(isRefused))
  return verbs.filter((_verb, at) => answers[at])
}

const beyond = (role: LinkRole): string[] => Object.keys(permissions).filter((verb) => permissions[verb]?.[role] === undefined)

t.test('over a raw link every certificate reaches the verbs of its row, and no other, at every manager and worker', async (t) => {
  const leader = await startPeer(t, { name: 'm1' })
  const [asManager, asWorker] = [await leader.invite('manager'), await leader.invite('worker')]
  const follower = await startPeer(t, { name: 'm2', join: asManager })
  const worker = await startPeer(t, { name: 'w1', join: asWorker })
  const { token } = parseJoinString(asWorker)
  const pools: readonly (readonly [LinkRole, LinkPool])[] = [
    ['worker', await thief(t, asWorker)],
    ['app', await client(t, asWorker)],
    ['operator', await client(t, asManager)],
    ['newcomer', rawPool(t, { own: undefined, trust: trustOfToken(token) })],
  ]
  t.ok(beyond('worker').length > 20)
  for (const [role, pool] of pools) {
    for (const peer of [leader, follower, worker]) {
      const link = await pool.dial(peer.address)
      t.same(await refusedVerbs(link, role), beyond(role), `${role} at ${peer.name}`)
      link.close('asked')
    }
  }
  t.equal((await leader.nodes.list()).items.length, 4, 'and nothing came of it')
})

t.test('a removed node is refused by the leader, by who does not lead and by workers, and the links it had end', async (t) => {
  const leader = await startPeer(t, { name: 'm1' })
  const asWorker = await leader.invite('worker')
  const follower = await startPeer(t, { name: 'm2', join: await leader.invite('manager') })
  const worker = await startPeer(t, { name: 'w1', join: asWorker })
  const pool = await thief(t, asWorker)
  const everybody: readonly Peer[] = [leader, follower, worker]
  const links = await Promise.all(everybody.map(({ address }) => pool.dial(address)))
  t.ok(links.every(({ isUp }) => isUp))
  await leader.nodes.remove(thiefId, { force: true })
  for (const [at, { name, address }] of everybody.entries()) {
    await eventually(`${name} ends its link`, async () => links[at]?.isUp === false)
    const error = await pool.dial(address).catch((error: unknown) => error)
    t.ok(isSkeinError(error, 'ERR_SKEIN_REMOVED'), `${name}: ${String(error)}`)
  }
})

t.test('a worker that starts while no manager can tell it refuses whom it heard to be removed', async (t) => {
  const dir = freshDir(t)
  const manager = await startPeer(t, { name: 'm1' })
  const asWorker = await manager.invite('worker')
  const worker = await startPeer(t, { name: 'w1', dir, join: asWorker })
  const pool = await thief(t, asWorker)
  const link = await pool.dial(worker.address)
  await manager.nodes.remove(thiefId, { force: true })
  await link.ended
  await worker.stop()
  await manager.stop()
  const over = new AbortController()
  const alone = createPeer({ dir, timing: quick, signal: over.signal })
  const stopped = t.rejects(alone, 'it never finds a manager')
  const answer = async (): Promise<unknown> => {
    const said = await pool.dial(worker.address).catch((error: unknown) => error)
    return isSkeinError(said, 'ERR_SKEIN_UNREACHABLE') ? undefined : said
  }
  t.match(await eventually('it listens', answer), { code: 'ERR_SKEIN_REMOVED' })
  over.abort()
  await stopped
})
