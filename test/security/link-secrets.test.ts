import fc from 'fast-check'
import t from 'tap'
import {
  authorize,
  checkProof,
  type LinkRole,
  mayClaim,
  prove,
  secretToProve,
  type Transcript,
} from '../../lib/security/index.js'

const transcript: Transcript = {
  version: 1,
  ranges: [1, 1, 1, 2],
  secret: 'worker',
  dialler: { node: 'aaaaaaaaaaaa', role: 'worker', cluster: 'cccccccccccc', instance: 'i1', nonce: new Uint8Array(32).fill(1) },
  acceptor: { node: 'bbbbbbbbbbbb', role: 'manager', cluster: 'cccccccccccc', instance: 'i2', nonce: new Uint8Array(32).fill(2) },
}

t.test('who knows the secret proves it, from either side', async (t) => {
  for (const side of ['dialler', 'acceptor'] as const)
    t.ok(checkProof(prove(side, 's3cret', transcript), side, 's3cret', transcript))
})

t.test('another secret, or the other side’s own proof sent back, proves nothing', async (t) => {
  t.notOk(checkProof(prove('dialler', 'guess', transcript), 'dialler', 's3cret', transcript))
  t.notOk(checkProof(prove('dialler', 's3cret', transcript), 'acceptor', 's3cret', transcript), 'reflected')
  t.notOk(checkProof(new Uint8Array(), 'dialler', 's3cret', transcript))
})

const { dialler, acceptor } = transcript
const changes: Readonly<Record<string, Transcript>> = {
  version: { ...transcript, version: 2 },
  'version range': { ...transcript, ranges: [1, 2, 1, 2] },
  'kind of secret': { ...transcript, secret: 'manager' },
  'dialler node': { ...transcript, dialler: { ...dialler, node: 'dddddddddddd' } },
  role: { ...transcript, dialler: { ...dialler, role: 'newcomer' } },
  cluster: { ...transcript, acceptor: { ...acceptor, cluster: 'dddddddddddd' } },
  instance: { ...transcript, acceptor: { ...acceptor, instance: 'i3' } },
  'dialler nonce': { ...transcript, dialler: { ...dialler, nonce: new Uint8Array(32).fill(3) } },
  'acceptor nonce': { ...transcript, acceptor: { ...acceptor, nonce: new Uint8Array(32).fill(3) } },
  'who is who': { ...transcript, dialler: acceptor, acceptor: dialler },
  'where one field ends': { ...transcript, dialler: { ...dialler, node: 'aaaaaaaaaaaaw', role: 'orker' as LinkRole } },
}
for (const [what, changed] of Object.entries(changes)) {
  t.test(`a proof for another ${what} is refused`, async (t) => {
    t.notOk(checkProof(prove('dialler', 's3cret', transcript), 'dialler', 's3cret', changed))
  })
}

t.test('any flipped bit spoils a proof', async () => {
  const proof = prove('dialler', 's3cret', transcript)
  fc.assert(
    fc.property(fc.nat(31), fc.nat(7), (at, bit) => {
      const changed = Uint8Array.from(proof)
      changed[at] = (changed[at] as number) ^ (1 << bit)
      return !checkProof(changed, 'dialler', 's3cret', transcript)
    }),
  )
})

t.test('a role is claimed only with the secret that belongs to it', async (t) => {
  const table = (['manager', 'client', 'worker', 'newcomer'] as const).map(
    (role) => `${role} ${mayClaim(role, 'manager')} ${mayClaim(role, 'worker')}`,
  )
  t.strictSame(table, ['manager true false', 'client true true', 'worker false true', 'newcomer true true'])
})

t.test('a dialler proves itself with the best secret its role may use', async (t) => {
  const both = { manager: 'm', worker: 'w' }
  t.equal(secretToProve('manager', both), 'manager')
  t.equal(secretToProve('client', { worker: 'w' }), 'worker')
  t.equal(secretToProve('manager', { worker: 'w' }), undefined)
  t.equal(secretToProve('worker', both), 'worker')
  t.equal(secretToProve('worker', { manager: 'm' }), undefined)
  t.equal(secretToProve('newcomer', both), 'manager')
  t.equal(secretToProve('newcomer', { worker: 'w' }), 'worker')
  t.equal(secretToProve('newcomer', {}), undefined)
})

const table: readonly (readonly [verb: string, allowed: readonly LinkRole[]])[] = [
  ['join.join', ['newcomer', 'client', 'worker', 'manager']],
  ['control.createService', ['client', 'worker', 'manager']],
  ['session.beat', ['worker', 'manager']],
  ['agent.logs', ['manager']],
  ['raft.snapshot', ['manager']],
  ['unheard.of', []],
  ['constructor', []],
  ['', []],
]
for (const [verb, allowed] of table) {
  t.test(`"${verb}" is for ${allowed.join(', ') || 'nobody'}`, async (t) => {
    for (const role of ['newcomer', 'client', 'worker', 'manager'] as const) {
      const refusal = authorize(role, verb)
      t.equal(refusal === undefined, allowed.includes(role), role)
      if (refusal !== undefined) t.match(refusal, { code: 'ERR_SKEIN_FORBIDDEN', detail: { role, verb } })
    }
  })
}
