import fc from 'fast-check'
import t from 'tap'
import { SkeinError } from '../../../lib/base/errors.js'
import { type Established, Handshake, type Self } from '../../../lib/overlay/transport/handshake.js'
import type { Identity } from '../../../lib/security/index.js'

const a = 'aaaaaaaaaaaa'
const b = 'bbbbbbbbbbbb'

const cluster = 'cluster00000'
const manager = (node: string): Identity => ({ node, role: 'manager', cluster, key: `key of ${node}` })

function self(wishes: Partial<Self> = {}): Self {
  return {
    node: a,
    versions: { min: 1, max: 1 },
    instance: 'one',
    purpose: 'all',
    chain: [Uint8Array.of(1)],
    remote: 'there:1',
    identify: () => manager(b),
    admit: () => undefined,
    ...wishes,
  }
}

const acceptorSelf = (wishes: Partial<Self> = {}): Self =>
  self({ node: b, instance: 'two', remote: 'here:2', identify: () => manager(a), ...wishes })

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
  t.strictSame(dialler, { type: 'established', identity: manager(b), version: 1, purpose: 'all', instance: 'two' })
  t.strictSame(acceptor, { type: 'established', identity: manager(a), version: 1, purpose: 'all', instance: 'one' })
})

t.test('each end gets the other’s chain to judge by', async (t) => {
  const seen: (readonly Uint8Array[])[] = []
  const judge = (identity: Identity) => (chain: readonly Uint8Array[]) => {
    seen.push(chain)
    return identity
  }
  shake(
    self({ chain: [Uint8Array.of(1), Uint8Array.of(2, 3)], identify: judge(manager(b)) }),
    acceptorSelf({ chain: [], identify: judge(manager(a)) }),
  )
  t.strictSame(
    seen.map((chain) => chain.map((each) => [...each])),
    [[[1], [2, 3]], []],
  )
})

t.test('the dialler says what the link is for', async (t) => {
  const { dialler, acceptor } = shake(self({ purpose: 'bulk' }), acceptorSelf())
  t.match([dialler, acceptor], [{ purpose: 'bulk' }, { purpose: 'bulk' }])
})

t.test('the newest version both speak is agreed', async (t) => {
  const { dialler, acceptor } = shake(self({ versions: { min: 1, max: 5 } }), acceptorSelf({ versions: { min: 2, max: 3 } }))
  t.match([dialler, acceptor], [{ version: 3 }, { version: 3 }])
})

const refuse = (): never => {
  throw new SkeinError('ERR_SKEIN_BAD_CERTIFICATE', 'certificate (expired): long ago', { reason: 'expired' })
}
const removed = new SkeinError('ERR_SKEIN_REMOVED', 'node was removed', { node: a })
const wrong: readonly (readonly [
  words: string,
  dialler: Partial<Self>,
  acceptor: Partial<Self>,
  dialler: object,
  acceptor: object,
])[] = [
  [
    'a dialler whose certificate proves nothing',
    {},
    { identify: refuse },
    { code: 'ERR_SKEIN_BAD_CERTIFICATE', message: /^there:1 refused the link: your certificate/ },
    { code: 'ERR_SKEIN_BAD_CERTIFICATE', message: /^here:2: certificate/ },
  ],
  [
    'an acceptor whose certificate proves nothing',
    { identify: refuse },
    {},
    { code: 'ERR_SKEIN_BAD_CERTIFICATE', message: /^there:1: certificate/ },
    { code: 'ERR_SKEIN_BAD_CERTIFICATE', message: /^here:2 refused the link: your certificate/ },
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
]
for (const [words, dialler, acceptor, atDialler, atAcceptor] of wrong) {
  t.test(`refused with the same code at both ends: ${words}`, async (t) => {
    const ends = shake(self(dialler), acceptorSelf(acceptor))
    t.match(ends, { dialler: { type: 'failed', error: atDialler }, acceptor: { type: 'failed', error: atAcceptor } })
  })
}

t.test('random bytes or a changed byte at any step: nobody throws, and nobody takes the other for somebody else', async (t) => {
  const { messages } = shake(self(), acceptorSelf())
  t.equal(messages, 5)
  const check = ({ dialler, acceptor }: Ends): void => {
    if (dialler?.type === 'established' && dialler.identity.node !== b) throw new Error('the dialler was deceived')
    if (acceptor?.type === 'established' && acceptor.identity.node !== a) throw new Error('the acceptor was deceived')
  }
  fc.assert(
    fc.property(fc.nat(messages - 1), fc.uint8Array({ maxLength: 5000 }), (which, junk) => {
      const ends = shake(self(), acceptorSelf(), (message, index) => (index === which ? junk : message))
      check(ends)
      return ends.dialler?.type === 'failed' || ends.acceptor?.type === 'failed'
    }),
    { numRuns: 1000 },
  )
  fc.assert(
    fc.property(fc.nat(messages - 1), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
      check(
        shake(self(), acceptorSelf(), (message, index) => {
          if (index !== which) return message
          const changed = Uint8Array.from(message)
          const place = at % changed.length
          changed[place] = (changed[place] as number) ^ flip
          return changed
        }),
      )
    }),
    { numRuns: 1000 },
  )
})

t.test('a chain beyond its bounds is a bad message, not work', async (t) => {
  const judged: unknown[] = []
  const identify = (chain: readonly Uint8Array[]): Identity => {
    judged.push(chain)
    return manager(a)
  }
  for (const chain of [Array.from({ length: 17 }, () => Uint8Array.of(1)), [new Uint8Array(1025)]]) {
    const { acceptor } = shake(self({ chain }), acceptorSelf({ identify }))
    t.match(acceptor, { type: 'failed', error: { code: 'ERR_SKEIN_BAD_MESSAGE' } })
  }
  t.equal(judged.length, 0)
})
