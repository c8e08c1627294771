import t from 'tap'
import { rotationPeriodMs } from '../../lib/model/keyring.js'
import { openKeyring, withNextKeyring } from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'

const authority = await TestAuthority.make()

t.test('the record holds keys of datagrams sealed: whoever reads it without the data key learns their ids', async (t) => {
  const world = authority.world(1_000)
  const { keyring } = withNextKeyring(authority.access, world, 0)
  if (keyring === undefined) throw new Error('no keys')
  const ring = openKeyring(keyring, world)
  t.equal(ring.rotatedAtMs, 1_000)
  t.same([ring.previous, ring.primary.id, ring.next.id], [undefined, 0, 1])
  t.equal(ring.primary.secret.length, 32)
  t.notSame(ring.primary.secret, ring.next.secret)
  const bytes = JSON.stringify(keyring, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  )
  for (const { secret } of [ring.primary, ring.next]) t.notOk(bytes.includes(Buffer.from(secret).toString('hex')))
  const other = await TestAuthority.make()
  t.throws(() => openKeyring(keyring, other.world()), { code: 'ERR_SKEIN_CORRUPT' }, 'another data key opens nothing')
  const swapped = { ...keyring, primary: { ...keyring.primary, secret: keyring.next.secret } }
  t.throws(() => openKeyring(swapped, world), { code: 'ERR_SKEIN_CORRUPT' }, 'nor does a key stand in for another')
})

t.test('a rotation keeps what all nodes hold already: the next key becomes the primary', async (t) => {
  const world = authority.world(1_000)
  const first = withNextKeyring(authority.access, world, 0)
  const later = authority.world(1_000 + rotationPeriodMs)
  const second = withNextKeyring(first, later, 0)
  if (first.keyring === undefined || second.keyring === undefined) throw new Error('no keys')
  const [before, after] = [openKeyring(first.keyring, world), openKeyring(second.keyring, later)]
  t.same(after.previous, before.primary)
  t.same(after.primary, before.next)
  t.equal(after.next.id, 2)
  t.equal(after.rotatedAtMs, 1_000 + rotationPeriodMs)
  t.same({ ...second, keyring: undefined }, { ...first, keyring: undefined }, 'and touches nothing else')
})
