import { randomBytes } from 'node:crypto'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { JoinServer } from '../../lib/manager/join-server.js'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import { makeKeyPair, provePossession, readCertificate } from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { openHarness } from '../store/harness.js'

const authority = await TestAuthority.make()
const [manager, worker] = ['node00000001', 'node00000002']

async function desk() {
  const harness = await openHarness()
  const { cluster, access, dataKey } = authority
  const blank = { availability: 'active', labels: {}, address: 'a:1' } as const
  await harness.submit({ op: 'cluster.found', id: cluster, access, settings: defaultClusterSettings })
  await harness.submit({ op: 'node.create', id: manager, name: 'm1', role: 'manager', raftId: 1, ...blank })
  await harness.submit({ op: 'node.create', id: worker, name: 'w1', role: 'worker', raftId: undefined, ...blank })
  const server = new JoinServer({
    store: harness.store,
    random: seededRandom(1),
    dataKey,
    wallMs: () => Date.now(),
    managers: () => [],
    raftIdTaken: () => false,
  })
  const renew = async (node: string) => {
    const keys = await makeKeyPair()
    const binding = randomBytes(32)
    const { publicKey } = keys
    const proof = provePossession(keys, { purpose: 'renew', id: node, publicKey, binding })
    return await server.renew({ node, role: 'worker', key: 'held' }, { publicKey, proof }, binding)
  }
  return { server, harness, renew, unit: (certificate: Uint8Array) => readCertificate(certificate).subject.unit }
}

t.test('a worker that is to be a manager is called, and is one by its next certificate', async (t) => {
  const { server, harness, renew, unit } = await desk()
  const before = await renew(worker)
  t.match([before.role, before.raftId, before.dataKey, unit(before.certificate)], ['worker', undefined, undefined, 'worker'])
  await harness.submit({ op: 'node.desire', id: worker, role: 'manager' })
  t.same(server.trust('member').called, [manager, worker])
  const answer = await renew(worker)
  t.match([answer.role, unit(answer.certificate)], ['manager', 'manager'])
  t.same(answer.dataKey, authority.dataKey)
  t.equal(harness.store.view().node(worker)?.raftId, answer.raftId)
  t.same(server.trust('member').called, [manager, worker], 'said on: its answer may get lost')
})

t.test('an answer that got lost is given again: one raft id for one promotion', async (t) => {
  const { harness, renew } = await desk()
  await harness.submit({ op: 'node.desire', id: worker, role: 'manager' })
  const [first, second] = [await renew(worker), await renew(worker)]
  t.type(first.raftId, 'number')
  t.equal(second.raftId, first.raftId)
})

t.test('demoted, it gets a worker’s certificate and no data key; promoted again, another raft id', async (t) => {
  const { server, harness, renew, unit } = await desk()
  await harness.submit({ op: 'node.desire', id: worker, role: 'manager' })
  const { raftId = 0 } = await renew(worker)
  await harness.submit({ op: 'node.desire', id: worker, role: 'worker' })
  t.match(await renew(worker), { role: 'manager', raftId }, 'raft has not let it go yet')
  await harness.submit({ op: 'node.become', id: worker, role: 'worker', raftId })
  t.match(server.trust('member'), { demoted: [worker], called: [manager] })
  const demoted = await renew(worker)
  t.match([demoted.role, demoted.raftId, demoted.dataKey, unit(demoted.certificate)], ['worker', undefined, undefined, 'worker'])
  await harness.submit({ op: 'node.desire', id: worker, role: 'manager' })
  const again = await renew(worker)
  t.equal(again.role, 'manager')
  t.not(again.raftId, raftId)
  t.same(server.trust('member').demoted, [])
})
