import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { JoinServer } from '../../lib/manager/join-server.js'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import { rotationPeriodMs } from '../../lib/model/keyring.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { openHarness } from '../store/harness.js'

const authority = await TestAuthority.make()

async function desk() {
  const harness = await openHarness()
  const { cluster, access, dataKey } = authority
  await harness.submit({ op: 'cluster.found', id: cluster, access, settings: defaultClusterSettings })
  let wallMs = 1_000
  const server = new JoinServer({
    store: harness.store,
    random: seededRandom(1),
    dataKey,
    wallMs: () => wallMs,
    managers: () => [],
    raftIdTaken: () => false,
  })
  return {
    server,
    harness,
    at: (ms: number) => {
      wallMs = ms
    },
  }
}

t.test(
  'members are told the keys of datagrams; who is none by its certificate, clients and the record’s readers are not',
  async (t) => {
    const { server, harness } = await desk()
    t.equal(server.rotationDueInMs, 0, 'there are none yet')
    t.equal(server.trust('member').keyring, undefined)
    await server.rotateKeyring()
    const ring = server.trust('member').keyring
    if (ring === undefined) throw new Error('no keys')
    t.equal(server.trust('stranger').keyring, undefined)
    t.equal(
      server.trust('member').keyring?.primary.secret,
      ring.primary.secret,
      'the same array: what is derived from it is derived once',
    )
    const secrets = [ring.primary, ring.next].map(({ secret }) => Buffer.from(secret))
    const hex = (value: unknown): string =>
      JSON.stringify(value, (_key, each: unknown) => (each instanceof Uint8Array ? Buffer.from(each).toString('hex') : each))
    const open = [server.describe(), server.trust('stranger'), harness.store.view().cluster].map(hex).join()
    for (const secret of secrets) t.notOk(open.includes(secret.toString('hex')))
  },
)

t.test('a rotation is due after twelve hours, and whoever leads then sees it', async (t) => {
  const { server, at } = await desk()
  await server.rotateKeyring()
  t.equal(server.rotationDueInMs, rotationPeriodMs)
  at(1_000 + rotationPeriodMs)
  t.equal(server.rotationDueInMs, 0)
  const before = server.trust('member').keyring
  await server.rotateKeyring()
  const after = server.trust('member').keyring
  t.same(after?.primary.secret, before?.next.secret)
  t.equal(server.rotationDueInMs, rotationPeriodMs)
})
