import fc from 'fast-check'
import t from 'tap'
import { SkeinError } from '../../../lib/base/errors.js'
import { type Established, Handshake, type Self } from '../../../lib/overlay/transport/handshake.js'
import { encode } from '../../../lib/wire/index.js'
import { cluster, secrets, workerSecrets } from './support.js'

const a = 'aaaaaaaaaaaa'
const b = 'bbbbbbbbbbbb'

function self(wishes: Partial<Self> = {}): Self {
  return {
    node: a,
    role: 'manager',
    cluster,
    secrets,
    versions: { min: 1, max: 1 },
    instance: 'one',
    purpose: 'all',
    nonce: new Uint8Array(32).fill(1),
    remote: 'there:1',
    admit: () => undefined,
    ...wishes,
  }
}

const acceptorSelf = (wishes: Partial<Self> = {}): Self =>
  self({ node: b, instance: 'two', nonce: new Uint8Array(32).fill(2), remote: 'here:2', ...wishes })

type Outcome = Established | { readonly type: 'failed'; readonly error: SkeinError } | undefined

interface Ends {
  readonly dialler: Outcome
  readonly acceptor: Outcome
  readonly messages: number
}

/** Runs both ends against each other; `spoil` may change what travels. */
function shake(
  dialler: Self,
  acceptor: Self,
  spoil: (message: Uint8Array, index: number) => Uint8Array = (message) => message,
): Ends {
  const machines = { dialler: new Handshake('dialler', dialler), acceptor: new Handshake('acceptor', acceptor) }
  const outcomes: { dialler: Outcome; acceptor: Outcome } = { dialler: undefined, acceptor: undefined }
  const queue: { to: 'dialler' | 'acceptor'; message: Uint8Array }[] = []
  let messages = 0
  const take = (side: 'dialler' | 'acceptor', { send, outcome }: ReturnType<Handshake['start']>): void => {
    for (const message of send) queue.push({ to: side === 'dialler' ? 'acceptor' : 'dialler', message })
    if (outcome !== undefined) outcomes[side] = outcome
  }
  take('dialler', machines.dialler.start())
  take('acceptor', machines.acceptor.start())
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
    const message = spoil(item.message, messages++)
    if (outcomes[item.to] === undefined) take(item.to, machines[item.to].receive(message))
  }
  return { ...outcomes, messages }
}

t.test('two managers of one cluster know each other afterwards', async (t) => {
  const { dialler, acceptor } = shake(self(), acceptorSelf())
  t.strictSame(dialler, {
    type: 'established',
    identity: { node: b, role: 'manager', cluster, proved: 'manager' },
    version: 1,
    instance: 'two',
    purpose: 'all',
  })
  t.strictSame(acceptor, {
    type: 'established',
    identity: { node: a, role: 'manager', cluster, proved: 'manager' },
    version: 1,
    instance: 'one',
    purpose: 'all',
  })
})

const admitted: readonly (readonly [words: string, dialler: Partial<Self>, proved: string])[] = [
  ['a worker with its secret', { role: 'worker', secrets: workerSecrets }, 'worker'],
  ['a client without a node id', { role: 'client', node: '' }, 'manager'],
  ['a newcomer with the manager’s secret', { role: 'newcomer', secrets: { manager: secrets.manager } }, 'manager'],
  ['a newcomer with the worker’s secret', { role: 'newcomer', secrets: workerSecrets }, 'worker'],
  ['a newcomer that does not know its cluster yet', { role: 'newcomer', cluster: undefined }, 'manager'],
]
for (const [words, wishes, proved] of admitted) {
  t.test(`a manager lets in ${words}`, async (t) => {
    const { dialler, acceptor } = shake(self(wishes), acceptorSelf())
    t.match(acceptor, { type: 'established', identity: { role: wishes.role, proved, cluster } })
    t.match(dialler, { type: 'established', identity: { node: b, cluster, proved } })
  })
}

t.test('both ends know a second link for bulk as what it is', async (t) => {
  const { dialler, acceptor } = shake(self({ purpose: 'bulk' }), acceptorSelf())
  t.match([dialler, acceptor], [{ purpose: 'bulk' }, { purpose: 'bulk' }])
})

t.test('the newest version both speak is agreed', async (t) => {
  const { dialler, acceptor } = shake(self({ versions: { min: 1, max: 5 } }), acceptorSelf({ versions: { min: 2, max: 3 } }))
  t.match([dialler, acceptor], [{ version: 3 }, { version: 3 }])
})

const removed = new SkeinError('ERR_SKEIN_REMOVED', 'node was removed', { node: a })
const wrong: readonly (readonly [
  words: string,
  dialler: Partial<Self>,
  acceptor: Partial<Self>,
  dialler: object,
  acceptor: object,
])[] = [
  [
    'a wrong manager secret',
    { secrets: { manager: 'x'.repeat(26) } },
    {},
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { address: 'there:1' } },
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET', detail: { address: 'here:2' } },
  ],
  [
    'a wrong worker secret',
    { role: 'worker', secrets: { worker: 'x'.repeat(26) } },
    {},
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET' },
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET' },
  ],
  [
    'a manager that holds no manager secret',
    { secrets: workerSecrets },
    {},
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET' },
    { code: 'ERR_SKEIN_BAD_JOIN_SECRET' },
  ],
  [
    'another cluster',
    { cluster: 'zzzzzzzzzzzz' },
    {},
    { code: 'ERR_SKEIN_OTHER_CLUSTER', detail: { ours: 'zzzzzzzzzzzz', theirs: cluster } },
    { code: 'ERR_SKEIN_OTHER_CLUSTER', detail: { ours: cluster, theirs: 'zzzzzzzzzzzz' } },
  ],
  [
    'a newer wire version',
    { versions: { min: 2, max: 3 } },
    {},
    { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 3, theirs: 1 } },
    { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 1, theirs: 3 } },
  ],
  [
    'an older wire version',
    {},
    { versions: { min: 4, max: 4 } },
    { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 1, theirs: 4 } },
    { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 4, theirs: 1 } },
  ],
  [
    'a removed node',
    {},
    { admit: () => removed },
    { code: 'ERR_SKEIN_REMOVED', detail: { node: a } },
    { code: 'ERR_SKEIN_REMOVED', detail: { node: a } },
  ],
  ['a peer the dialler refuses', { admit: () => removed }, {}, { code: 'ERR_SKEIN_REMOVED' }, { code: 'ERR_SKEIN_REMOVED' }],
  ['itself', {}, { node: a, instance: 'one' }, { code: 'ERR_SKEIN_PRECONDITION' }, { code: 'ERR_SKEIN_PRECONDITION' }],
  [
    'another process with the same node id',
    {},
    { node: a },
    { code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { name: a } },
    { code: 'ERR_SKEIN_ALREADY_EXISTS' },
  ],
  [
    'a manager at a worker, which cannot tell',
    {},
    { role: 'worker', secrets: workerSecrets },
    { code: 'ERR_SKEIN_FORBIDDEN', detail: { role: 'manager' } },
    { code: 'ERR_SKEIN_FORBIDDEN' },
  ],
  [
    'a peer without a cluster',
    {},
    { cluster: undefined },
    { code: 'ERR_SKEIN_PRECONDITION' },
    { code: 'ERR_SKEIN_PRECONDITION' },
  ],
  [
    'a worker without a node id',
    { role: 'worker', node: '' },
    {},
    { code: 'ERR_SKEIN_BAD_MESSAGE' },
    { code: 'ERR_SKEIN_BAD_MESSAGE' },
  ],
]
for (const [words, dialler, acceptor, atDialler, atAcceptor] of wrong) {
  t.test(`refused with the same code at both ends: ${words}`, async (t) => {
    const ends = shake(self(dialler), acceptorSelf(acceptor))
    t.match(ends, { dialler: { type: 'failed', error: atDialler }, acceptor: { type: 'failed', error: atAcceptor } })
  })
}

t.test('an acceptor that does not know the secret is found out by the dialler', async (t) => {
  // It accepts whatever proof comes, and answers with one it cannot make.
  const accepting = { ...acceptorSelf(), secrets: { manager: 'x'.repeat(26) } }
  const { dialler } = shake(self(), accepting, (message, index) =>
    index === 5 ? encode({ type: 'accept', proof: new Uint8Array(32) }) : message,
  )
  t.match(dialler, { type: 'failed', error: { code: 'ERR_SKEIN_BAD_JOIN_SECRET' } })
})

t.test('no secret ever travels', async (t) => {
  for (const wishes of [{}, { secrets: { manager: 'x'.repeat(26) } }]) {
    shake(self(wishes), acceptorSelf(), (message) => {
      t.notOk(Buffer.from(message).includes('m'.repeat(26)) || Buffer.from(message).includes('x'.repeat(26)))
      return message
    })
  }
})

t.test('a handshake of which any byte changed never makes two ends that disagree on who they are', async (t) => {
  const { messages } = shake(self(), acceptorSelf())
  t.equal(messages, 7)
  let failed = 0
  fc.assert(
    fc.property(fc.nat(messages - 1), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
      const { dialler, acceptor } = shake(self(), acceptorSelf(), (message, index) => {
        if (index !== which) return message
        const changed = Uint8Array.from(message)
        const place = at % changed.length
        changed[place] = (changed[place] as number) ^ flip
        return changed
      })
      if (dialler?.type === 'established') {
        // Only the last message, `ready`, is not covered by a proof: then the acceptor fails, and closes.
        if (dialler.identity.node !== b || dialler.version !== 1) throw new Error('the dialler was deceived')
      }
      if (acceptor?.type === 'established' && acceptor.identity.node !== a) throw new Error('the acceptor was deceived')
      if (dialler?.type !== 'established' || acceptor?.type !== 'established') failed++
    }),
    { numRuns: 3000 },
  )
  t.ok(failed > 2900, `${failed} of 3,000 failed`)
})

t.test('random bytes at any step fail the handshake and nothing else', async (t) => {
  fc.assert(
    fc.property(fc.nat(6), fc.uint8Array({ maxLength: 5000 }), (which, junk) => {
      const { dialler, acceptor } = shake(self(), acceptorSelf(), (message, index) => (index === which ? junk : message))
      return dialler?.type === 'failed' || acceptor?.type === 'failed'
    }),
    { numRuns: 1000 },
  )
  t.pass('none threw')
})
