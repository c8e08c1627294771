import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import {
  addRoot,
  type CertifiedRole,
  type Credentials,
  identify,
  type LinkSide,
  retireRoots,
  type Shown,
  type Trust,
  trustOf,
} from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const nowMs = Date.now()
const authority = await TestAuthority.make('cluster00001')
const { trust } = authority

const shown = (who: Credentials): Shown => ({ certificate: who.certificate?.der, chain: who.chain })
const judge = (by: Trust, who: Credentials, side: LinkSide = 'dialler', atMs = nowMs) => identify(by, shown(who), side, atMs)
const make = (role: CertifiedRole, id = 'node00000001', agoMs = 0): Credentials =>
  authority.credentials(role, id, { issuedMs: nowMs - agoMs })

t.test('a certificate of the cluster says who its holder is', async (t) => {
  t.match(judge(trust, make('manager')), {
    node: 'node00000001',
    role: 'manager',
    cluster: 'cluster00001',
    key: /^[0-9a-f]{64}$/,
  })
  t.match(judge(trust, make('worker')), { node: 'node00000001', role: 'worker' })
  t.match(judge(trust, make('operator')), { node: '', role: 'operator' }, 'a client has no node id')
  t.match(judge(trust, make('app')), { node: '', role: 'app' })
})

t.test('none is a newcomer to who accepts, and nobody to who dials', async (t) => {
  t.strictSame(judge(trust, authority.newcomer()), { node: '', role: 'newcomer', cluster: 'cluster00001', key: '' })
  t.throws(() => judge(trust, authority.newcomer(), 'acceptor'), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'missing' },
  })
  t.throws(() => judge(authority.pin, authority.newcomer(), 'acceptor'), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'missing' },
  })
})

t.test('a token’s bearer believes whom the pinned root has issued, and nobody else', async (t) => {
  t.match(judge(authority.pin, make('manager'), 'acceptor'), { role: 'manager', cluster: 'cluster00001' })
  const other = await TestAuthority.make('cluster00001') // of the same name, and another key
  t.throws(() => judge(authority.pin, other.credentials('manager', 'node00000001'), 'acceptor'), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'unknown-root' },
  })
  const { certificate } = other.credentials('manager', 'node00000001')
  t.throws(
    () => identify(authority.pin, { certificate: certificate?.der, chain: make('manager').chain }, 'acceptor', nowMs),
    { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'unknown-root' } },
    'nor one who sends our root along with a certificate of another',
  )
})

t.test('a client takes no links', async (t) => {
  for (const role of ['operator', 'app'] as const)
    t.throws(() => judge(trust, make(role), 'acceptor'), { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'wrong-role' } })
})

t.test('a root is no peer, and a node issues nothing', async (t) => {
  const [root] = trust.type === 'roots' ? trust.roots : []
  t.throws(() => identify(trust, { certificate: root, chain: [] }, 'dialler', nowMs), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'wrong-role' },
  })
})

t.test('expired, not yet valid, of another cluster: each by its name, with what to do', async (t) => {
  t.throws(() => judge(trust, make('worker', 'node00000001', 91 * dayMs)), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'expired' },
    message: /ended at .*clock says .*a worker joins again/,
  })
  t.throws(() => judge(trust, make('worker', 'node00000001', -25 * hourMs)), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'not-yet-valid' },
    message: /begins at .*set the clocks right/,
  })
  const other = await TestAuthority.make('otherother00')
  t.throws(() => judge(trust, other.credentials('worker', 'node00000001')), {
    code: 'ERR_SKEIN_OTHER_CLUSTER',
    detail: { ours: 'cluster00001', theirs: 'otherother00' },
  })
})

t.test('a clock a day behind the issuer’s or hours ahead of it still believes it', async (t) => {
  const fresh = make('worker')
  t.match(judge(trust, fresh, 'dialler', nowMs - 24 * hourMs + 1000), { role: 'worker' })
  t.match(judge(trust, fresh, 'dialler', nowMs + 9 * hourMs), { role: 'worker' })
  t.throws(() => judge(trust, fresh, 'dialler', nowMs - 24 * hourMs - 1000), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'not-yet-valid' },
  })
})

t.test('junk in place of a certificate or its chain is refused by name', async (t) => {
  for (const certificate of [new Uint8Array(), Uint8Array.of(48, 0), new Uint8Array(2000)])
    t.throws(() => identify(trust, { certificate, chain: [] }, 'dialler', nowMs), {
      code: 'ERR_SKEIN_BAD_CERTIFICATE',
      detail: { reason: 'malformed' },
    })
  t.throws(
    () =>
      identify(authority.pin, { certificate: make('manager').certificate?.der, chain: [Uint8Array.of(1)] }, 'acceptor', nowMs),
    {
      code: 'ERR_SKEIN_BAD_CERTIFICATE',
    },
  )
})

t.test(
  'of what a retired root issued only a manager’s key that is on record counts as before, and its hour still ends',
  async (t) => {
    const rotating = await TestAuthority.make('cluster00003')
    const [manager, worker] = [rotating.credentials('manager', 'sleptmanager'), rotating.credentials('worker', 'sleptworker0')]
    const operator = rotating.credentials('operator', 'someoperator')
    rotating.access = retireRoots(await addRoot(rotating.access, rotating.world(), seededRandom(4)))
    const key = manager.certificate?.fingerprint
    const asked: string[] = []
    const records = (node: string, shownKey: string): boolean => {
      asked.push(node)
      return shownKey === key
    }
    const meet = (who: Credentials, isOnRecord = records, atMs = nowMs) =>
      identify(rotating.trust, shown(who), 'dialler', atMs, isOnRecord)
    t.match(meet(manager), { node: 'sleptmanager', role: 'manager', key })
    t.match(
      meet(manager, () => false),
      { role: 'returning' },
      'another key is on record: the root’s may be in wrong hands',
    )
    t.match(meet(worker), { role: 'returning' }, 'no quorum needs a worker')
    t.match(meet(operator), { node: '', role: 'returning' })
    t.strictSame(asked, ['sleptmanager'])
    t.throws(() => meet(manager, records, nowMs + 91 * dayMs), {
      code: 'ERR_SKEIN_BAD_CERTIFICATE',
      detail: { reason: 'expired' },
    })
  },
)

t.test('through a root rotation everybody finds everybody, and after it the old root gives nothing but a renewal', async (t) => {
  const rotating = await TestAuthority.make('cluster00002')
  const random = seededRandom(3)
  const sleeper = rotating.credentials('worker', 'sleepingnode')
  const oldTrust = rotating.trust
  rotating.access = await addRoot(rotating.access, rotating.world(), random)
  const early = rotating.credentials('manager', 'earlierenews')
  t.match(judge(rotating.trust, sleeper), { node: 'sleepingnode', role: 'worker' }, 'the new world believes the old certificate')
  t.match(
    judge(oldTrust, early, 'acceptor'),
    { node: 'earlierenews', role: 'manager' },
    'the old world believes the new one, by the cross',
  )
  rotating.access = retireRoots(rotating.access)
  const late = rotating.credentials('manager', 'laterrenewed')
  t.match(judge(rotating.trust, sleeper), { node: 'sleepingnode', role: 'returning' })
  t.match(judge(oldTrust, late, 'acceptor'), { node: 'laterrenewed', role: 'manager' }, 'who slept finds back by the cross')
  // It sleeps on: through two more rotations.
  for (let turn = 0; turn < 2; turn++) rotating.access = retireRoots(await addRoot(rotating.access, rotating.world(), random))
  t.match(judge(oldTrust, rotating.credentials('manager', 'laterrenewed'), 'acceptor'), { role: 'manager' }, 'by three crosses')
  t.match(judge(rotating.trust, sleeper), { role: 'returning' })
  const forged = await TestAuthority.make('cluster00002')
  t.throws(() => judge(rotating.trust, forged.credentials('worker', 'sleepingnode')), {
    code: 'ERR_SKEIN_BAD_CERTIFICATE',
    detail: { reason: 'unknown-root' },
  })
  // Beyond what is kept it is a stranger.
  for (let turn = 0; turn < 3; turn++) rotating.access = retireRoots(await addRoot(rotating.access, rotating.world(), random))
  t.throws(() => judge(rotating.trust, sleeper), { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'unknown-root' } })
  t.ok(trustOf('cluster00002', rotating.access).retired.length <= 4)
})
