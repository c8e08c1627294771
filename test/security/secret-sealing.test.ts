import t from 'tap'
import { makeSealKey, openSecret, sealSecret } from '../../lib/security/index.js'

const world = { cluster: 'cluster00001', dataKey: makeSealKey() }
const data = Buffer.from('a plaintext that is known to this test')

t.test('a sealed secret opens again and shows nothing of its value', async (t) => {
  const sealed = sealSecret('secret000001', data, world)
  t.notOk(Buffer.from(sealed).includes(data.subarray(0, 8)))
  t.same(Buffer.from(openSecret({ id: 'secret000001', sealed }, world)), data)
  t.notSame(sealSecret('secret000001', data, world), sealed, 'never twice the same')
})

t.test('under another id, cluster or key it does not open, nor when one bit of it changed', async (t) => {
  const sealed = sealSecret('secret000001', data, world)
  const refused = { code: 'ERR_SKEIN_CORRUPT' }
  t.throws(() => openSecret({ id: 'secret000002', sealed }, world), refused)
  t.throws(() => openSecret({ id: 'secret000001', sealed }, { ...world, cluster: 'cluster00002' }), refused)
  t.throws(() => openSecret({ id: 'secret000001', sealed }, { ...world, dataKey: makeSealKey() }), refused)
  const spoilt = Uint8Array.from(sealed, (byte, index) => (index === 20 ? byte ^ 1 : byte))
  t.throws(() => openSecret({ id: 'secret000001', sealed: spoilt }, world), refused)
  t.throws(() => openSecret({ id: 'secret000001', sealed: new Uint8Array() }, world), refused)
})
