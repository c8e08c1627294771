/** What a worker whose key was stolen may send to a manager that holds everybody's rows, and what comes of it. Messages go through their bytes. */
import t from 'tap'
import { below, pick, type Random, seededRandom } from '../../../lib/base/random.js'
import { answersMaxBytes } from '../../../lib/overlay/gossip/answer-budget.js'
import { never } from '../../../lib/overlay/gossip/holdings.js'
import { Gossip } from '../../../lib/overlay/gossip/index.js'
import type { Delta, Row } from '../../../lib/overlay/gossip/keyspace.js'
import { decodeGossip, encodeGossip, type GossipMessage, gossipMessageMaxBytes } from '../../../lib/overlay/gossip/messages.js'
import { claimedEpochMax } from '../../../lib/overlay/gossip/rights.js'
import { ownerMaxBytes, ownerMaxRows, Space } from '../../../lib/overlay/gossip/space.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { natural } from '../../../lib/wire/decode.js'

/** A manager: workers speak of themselves, managers of everybody. */
function manager(): Space {
  return new Space({
    scope: 's',
    self: 'm1',
    epoch: 1,
    part: 'holder',
    random: seededRandom(1),
    accepts: (from, owner) => from === owner || from.startsWith('m'),
  })
}

function heard(space: Space, from: string, message: GossipMessage): GossipMessage[] {
  return space.receive(from, decodeGossip(encodeGossip(message))).map((send) => {
    const bytes = encodeGossip(send.message)
    if (bytes.length > gossipMessageMaxBytes) throw new Error(`an answer of ${bytes.length} bytes`)
    return decodeGossip(bytes)
  })
}

function deltas(owner: string, epoch: number, from: number, rows: readonly Row[]): GossipMessage {
  const to = rows.at(-1)?.version ?? from
  const delta: Delta = { owner, epoch, from, to, gc: 0, max: to, reset: false, rows }
  return { type: 'deltas', scope: 's', deltas: [delta], push: true }
}

/** Rows without end, three of 16 KB a message. */
function flood(space: Space, epoch: number, messages: number): void {
  for (let at = 0; at < messages; at++) {
    const rows = [1, 2, 3].map((step) => {
      const version = at * 3 + step
      return { table: 'load', key: `k${version}`, version, value: new Uint8Array(16_000) }
    })
    heard(space, 'w1', deltas('w1', epoch, at * 3, rows))
  }
}

t.test('a worker that writes without end is dropped at its bound, and heard again when it has started anew', async (t) => {
  const space = manager()
  heard(space, 'w2', deltas('w2', 1, 0, [{ table: 'load', key: 'cpu', version: 1, value: Uint8Array.of(1) }]))
  flood(space, 1, Math.ceil(ownerMaxBytes / 48_000) + 50)
  t.equal(space.overfull, 1)
  t.equal([...space.rows('load')].filter(({ owner }) => owner === 'w1').length, 0, 'nothing of it is held')
  t.equal([...space.rows('load')].filter(({ owner }) => owner === 'w2').length, 1, 'others are not concerned')
  t.equal(heard(space, 'w1', deltas('w1', 1, 2_000, [])).length, 0, 'and nothing of it is asked for')
  heard(space, 'w1', deltas('w1', 2, 0, [{ table: 'load', key: 'cpu', version: 1, value: Uint8Array.of(7) }]))
  t.equal([...space.rows('load')].filter(({ owner }) => owner === 'w1').length, 1)
})

t.test('rows of one byte are counted, since each takes some hundreds here', async (t) => {
  const space = manager()
  for (let from = 0; from <= ownerMaxRows && space.overfull === 0; from += 1_000) {
    const rows = Array.from({ length: 1_000 }, (_, at): Row => {
      const version = from + at + 1
      return { table: 'l', key: version.toString(36), version, value: Uint8Array.of(1) }
    })
    heard(space, 'w1', deltas('w1', 1, from, rows))
  }
  t.equal(space.overfull, 1)
  t.notOk(space.holds('w1'))
})

t.test('rows that are put in doubt by one reset after another weigh on', async (t) => {
  const space = manager()
  const messages = Math.ceil(ownerMaxBytes / 48_000) + 50
  for (let gc = 10; gc < messages + 10; gc++) {
    const rows = [1, 2, 3].map(
      (version): Row => ({ table: 'l', key: `${gc}-${version}`, version, value: new Uint8Array(16_000) }),
    )
    const delta: Delta = { owner: 'w1', epoch: 1, from: 0, to: 3, gc, max: 2 ** 40, reset: true, rows }
    heard(space, 'w1', { type: 'deltas', scope: 's', deltas: [delta], push: true })
  }
  t.equal(space.overfull, 1)
  t.notOk(space.holds('w1'))
})

/** The least time that one of several rounds takes: what others do on the machine at the same time is not in it. */
function leastMs(rounds: number, act: (round: number) => void): number {
  let leastMs = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const fromMs = performance.now()
    act(round)
    leastMs = Math.min(leastMs, performance.now() - fromMs)
  }
  return leastMs
}

/** A manager that holds so many rows of w1, and the version of the last. */
function holding(rows: number): Space {
  const space = manager()
  for (let from = 0; from < rows; from += 1_000) {
    const some = Array.from({ length: Math.min(1_000, rows - from) }, (_, at): Row => {
      const version = from + at + 1
      return { table: 'l', key: version.toString(36), version, value: Uint8Array.of(1) }
    })
    space.receive('w1', deltas('w1', 1, from, some))
  }
  space.takeChanges()
  return space
}

/** The next version of w1, whose tombstones before it are forgotten. */
function forgetting(version: number, rows: readonly Row[]): GossipMessage {
  const [from, gc] = [version - 1, version - 1]
  const delta: Delta = { owner: 'w1', epoch: 1, from, to: version, gc, max: version, reset: false, rows }
  return { type: 'deltas', scope: 's', deltas: [delta], push: true }
}

/** Small messages of w1 that may have a manager walk through all rows of it, each of its kind; `next` counts up with every message. */
const smallMessages: Readonly<Record<string, (max: number, next: number) => GossipMessage>> = {
  'forgets one tombstone after another': (max, next) =>
    forgetting(max + next, [{ table: 'l', key: 'gone', version: max + next, value: undefined }]),
  'forgets tombstones where there are none': (max, next) => forgetting(max + next, []),
  'puts everything in doubt again and again': (max, next) => {
    const delta: Delta = { owner: 'w1', epoch: 1, from: 0, to: 0, gc: max + next, max: 2 ** 50, reset: true, rows: [] }
    return { type: 'deltas', scope: 's', deltas: [delta], push: true }
  },
}

for (const [kind, messageOf] of Object.entries(smallMessages)) {
  t.test(`a worker of 100,000 rows that ${kind} costs a manager about what one of ten does`, async (t) => {
    const [few, many] = [10, 100_000].map((rows) => {
      const space = holding(rows)
      let next = 0
      const say = (): void => void space.receive('w1', messageOf(rows, ++next))
      say() // what was there is moved, once
      return leastMs(20, () => {
        for (let message = 0; message < 20; message++) say()
      })
    }) as [number, number]
    t.ok(many < 50 * few, `${many} ms beside ${few} ms`)
  })
}

t.test('a row that is written over and over, or deleted and made again, weighs no more than once', async (t) => {
  const space = manager()
  for (let version = 1; version < 4_000; version += 2) {
    const value = new Uint8Array(16_000)
    heard(
      space,
      'w1',
      deltas('w1', 1, version - 1, [
        { table: 'load', key: 'cpu', version, value },
        { table: 'load', key: 'cpu', version: version + 1, value: undefined },
      ]),
    )
  }
  t.equal(space.overfull, 0)
})

t.test('a worker can neither write, delete, hide, nor begin anew what another owns, nor is it told of it', async (t) => {
  const space = manager()
  const own = [{ table: 'load', key: 'cpu', version: 1, value: Uint8Array.of(1) }]
  heard(space, 'w2', deltas('w2', 1, 0, own))
  const before = [...space.rows('load')].length
  const forged: GossipMessage[] = [
    deltas('w2', 1, 1, [{ table: 'load', key: 'cpu', version: 2, value: Uint8Array.of(9) }]),
    deltas('w2', 1, 1, [{ table: 'load', key: 'cpu', version: 2, value: undefined }]),
    deltas('w2', 9, 0, []),
    deltas('m1', 1, 0, own),
    {
      type: 'digest',
      scope: 's',
      range: { of: 'all' },
      answer: 'wants-answer',
      owners: [{ owner: 'w2', epoch: 99, gc: 9, max: 9 }],
    },
  ]
  for (const message of forged) {
    const answers = heard(space, 'w1', message)
    const told = answers.flatMap((answer) => (answer.type === 'deltas' ? answer.deltas : []))
    t.notOk(
      told.some(({ owner }) => owner !== 'w1'),
      'no row of others',
    )
  }
  t.same([...space.rows('load')].length, before)
  t.same(space.get('w2', 'load', 'cpu'), Uint8Array.of(1))
  t.equal(space.summary('w2')?.epoch, 1)
})

t.test(
  'a worker cannot have a manager begin a later life of itself: with the last number there is none would hear it again',
  async (t) => {
    for (const epoch of [2, claimedEpochMax, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]) {
      const space = manager()
      space.write('load', 'cpu', Uint8Array.of(1))
      heard(space, 'w1', deltas('m1', epoch, 0, []))
      const owners = [{ owner: 'm1', epoch, gc: 0, max: 9 }]
      heard(space, 'w1', { type: 'digest', scope: 's', range: { of: 'all' }, answer: 'wants-answer', owners })
      t.equal(space.ownEpoch, 1, `${epoch}`)
      heard(space, 'm2', { type: 'digest', scope: 's', range: { of: 'all' }, answer: 'wants-answer', owners })
      t.equal(
        space.ownEpoch,
        epoch < claimedEpochMax ? epoch + 1 : 1,
        'another manager may say so, as long as there is room above it',
      )
    }
  },
)

t.test(
  'the last lives there are cannot be claimed, so that whatever an owner says can be retracted in words all can read',
  async (t) => {
    const row = { table: 'load', key: 'cpu', version: 1, value: Uint8Array.of(1) }
    for (const epoch of [claimedEpochMax + 1, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]) {
      const space = manager()
      heard(space, 'w1', deltas('w1', epoch, 0, [row]))
      t.notOk(space.holds('w1'), `${epoch}`)
    }
    const space = manager()
    space.partners(['m2'])
    for (const epoch of [claimedEpochMax - 2, claimedEpochMax]) {
      heard(space, 'w1', deltas('w1', epoch, 0, [row]))
      t.ok(space.holds('w1'))
      space.retract('w1')
      t.notOk(space.holds('w1'))
      const told = space.tick(epoch).flatMap(({ message }) => decodeGossip(encodeGossip(message)))
      t.ok(told.some((message) => message.type === 'deltas' && message.deltas.some(({ owner }) => owner === 'w1')))
    }
  },
)

/** As many summaries of one owner as a message holds. */
function repeated(owner: string, summary: { readonly epoch: number; readonly gc: number; readonly max: number }): GossipMessage {
  const owners = Array.from({ length: 2_610 }, () => ({ owner, ...summary }))
  return { type: 'digest', scope: 's', range: { of: 'listed' }, answer: 'wants-answer', owners }
}

t.test('a reader that lies about the life of another cannot silence it: it outbids whatever is retracted for that', async (t) => {
  for (const epoch of [2 ** 51 - 1, 2 ** 51, claimedEpochMax - 1, claimedEpochMax]) {
    const space = manager()
    const other = new Space({ scope: 's', self: 'w2', epoch: 5, part: 'author', random: seededRandom(2), accepts: () => true })
    space.readers(['w1'])
    const owners = [{ owner: 'w2', epoch, gc: 0, max: 9 }]
    heard(space, 'w1', { type: 'digest', scope: 's', range: { of: 'listed' }, answer: 'is-answer', owners })
    for (const [owner, claimed] of space.takeClaims()) space.retract(owner, claimed)
    other.partners(['m1'])
    other.write('load', 'cpu', Uint8Array.of(1))
    for (let nowMs = 0; nowMs < 5_000; nowMs += 100) {
      const toManager = other.tick(nowMs).map(({ message }) => message)
      for (let next = toManager.shift(); next !== undefined; next = toManager.shift())
        for (const answer of heard(space, 'w2', next)) toManager.push(...heard(other, 'm1', answer))
    }
    t.same(space.get('w2', 'load', 'cpu'), Uint8Array.of(1), `${epoch}`)
  }
})

t.test('a digest that names an owner twice is refused unread', async (t) => {
  const bytes = encodeGossip(repeated('worker000001', { epoch: 2, gc: 0, max: 0 }))
  t.ok(bytes.length <= gossipMessageMaxBytes, 'it is refused for what it says, not for its size')
  t.throws(() => decodeGossip(bytes), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('who is ahead of a holder in one owner’s rows is asked for them once, however often it says so', async (t) => {
  const space = manager()
  heard(space, 'w1', deltas('w1', 2 ** 40, 2 ** 40, []))
  const answers = space.receive('w1', repeated('w1', { epoch: 2 ** 41, gc: 0, max: 0 })).map(({ message }) => message)
  t.match(answers, [{ type: 'digest', owners: [{ owner: 'w1' }] }])
  t.equal((answers[0] as GossipMessage & { type: 'digest' }).owners.length, 1)
})

t.test('what a holder lacks is asked for in a message that can be sent, however much that is', async (t) => {
  const space = manager()
  const owners = Array.from({ length: 3_500 }, (_, number) => ({ owner: `o${number}`, epoch: 2 ** 40 + 1, gc: 0, max: 9 }))
  for (let from = 0; from < owners.length; from += 400) {
    const opened = owners.slice(from, from + 400).map(({ owner }): Delta => {
      const rows = [{ table: 't', key: '', version: 2 ** 40, value: undefined }]
      return { owner, epoch: 2 ** 40, from: 0, to: 2 ** 40, gc: 0, max: 2 ** 40, reset: false, rows }
    })
    heard(space, 'm2', { type: 'deltas', scope: 's', deltas: opened, push: false })
  }
  const digest = { type: 'digest', scope: 's', range: { of: 'listed' }, answer: 'wants-answer', owners } as const
  const asked = new Set<string>()
  for (let round = 0; round < 20; round++)
    for (const answer of heard(space, 'm2', digest))
      if (answer.type === 'digest') for (const { owner } of answer.owners) asked.add(owner)
  t.equal(asked.size, owners.length, 'and all of it in the end')
})

t.test(
  'a node that lists others in its rows, or asks for more of them, does not learn where a holder stands with them',
  async (t) => {
    const space = manager()
    heard(space, 'w2', deltas('w2', 1, 0, [{ table: 'load', key: 'cpu', version: 1, value: Uint8Array.of(1) }]))
    const { deltas: forged } = deltas('w2', 1, 1, []) as GossipMessage & { type: 'deltas' }
    const own = deltas('w1', 1, 0, [{ table: 't', key: '', version: 1, value: Uint8Array.of(1) }]) as GossipMessage & {
      type: 'deltas'
    }
    for (const push of [true, false]) {
      const message = { type: 'deltas', scope: 's', push, more: { of: 'listed' } } as const
      const answers = heard(space, 'w1', { ...message, deltas: [...forged, ...own.deltas] })
      const named = answers.flatMap((answer) => (answer.type === 'digest' ? answer.owners : [])).map(({ owner }) => owner)
      t.notOk(named.includes('w2'))
    }
  },
)

/** A manager that is told of so many owners at once, which are all removed then. */
function afterRemovals(count: number, self = 'm1'): Space {
  const space = new Space({
    scope: 's',
    self,
    epoch: 1,
    part: 'holder',
    random: seededRandom(count),
    accepts: (from, owner) => from === owner || from.startsWith('m'),
  })
  for (let number = 0; number < count; number++) space.standing(`worker${number}`.padEnd(12, 'x'), 'removed', 0)
  return space
}

t.test('a manager that starts where thousands of nodes were removed compares itself in messages that can be sent', async (t) => {
  const space = afterRemovals(5_000)
  for (const hash of [new Uint8Array(8), new Uint8Array(8).fill(7)]) heard(space, 'm2', { type: 'fingerprint', scope: 's', hash })
  const answers = heard(space, 'm2', { type: 'buckets', scope: 's', hashes: new Uint8Array(2_048).fill(1) })
  t.equal(answers.length, 1)
  const [digest] = answers as [GossipMessage & { type: 'digest' }]
  t.notOk(
    digest.owners.some(({ epoch }) => epoch === never),
    'and does not list them: raft tells everybody',
  )
})

t.test('one who has not heard that a node was removed, and tells of it without end, is not asked for more of that', async (t) => {
  const [behind, space] = [afterRemovals(0, 'm2'), afterRemovals(10)]
  for (let number = 0; number < 10; number++) {
    const owner = `worker${number}`.padEnd(12, 'x')
    const rows = [1, 2, 3].map((version): Row => ({ table: 't', key: `${version}`, version, value: new Uint8Array(15_000) }))
    heard(behind, owner, deltas(owner, 1, 0, rows))
  }
  behind.write('t', 'own', Uint8Array.of(1))
  behind.partners(['m1'])
  space.partners(['m2'])
  let messages = 0
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 100) {
    const queue = [
      ...behind.tick(nowMs).map(({ message }) => ({ to: space, from: 'm2', message })),
      ...space.tick(nowMs).map(({ message }) => ({ to: behind, from: 'm1', message })),
    ]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { to, from, message } = next
      if (++messages > 1_000) throw new Error('they ask each other without end')
      for (const answer of heard(to, from, message)) {
        const other = to === space ? ({ to: behind, from: 'm1' } as const) : ({ to: space, from: 'm2' } as const)
        queue.push({ ...other, message: answer })
      }
    }
  }
  t.ok(space.get('m2', 't', 'own'), 'what is not of them arrives')
  t.same([...space.holdings()].sort(), ['m2'], 'and nothing of the removed comes back')
  t.equal([...behind.holdings()].length, 11)
})

t.test('owners that are refused for some lives only are listed, in as many messages as it takes', async (t) => {
  const space = manager()
  const count = 3_000
  for (let number = 0; number < count; number++) {
    const owner = `worker${number}`.padEnd(12, 'x')
    heard(space, owner, deltas(owner, 2 ** 40 + 1, 0, [{ table: 't', key: '', version: 2 ** 40, value: Uint8Array.of(1) }]))
    space.standing(owner, 'left', 0)
  }
  const listed = new Set<string>()
  for (let round = 0; round < 40; round++)
    for (const answer of heard(space, 'm2', { type: 'buckets', scope: 's', hashes: new Uint8Array(2_048).fill(1) }))
      if (answer.type === 'digest') for (const { owner } of answer.owners) listed.add(owner)
  t.equal(listed.size, count + 1)
})

t.test('names as long as they may be do not make a message too long', async (t) => {
  const space = manager()
  const names = Array.from({ length: 400 }, (_, number) => `o${number}`.padEnd(256, 'x'))
  for (const owner of names)
    heard(space, 'm2', deltas(owner, 2 ** 40, 0, [{ table: 't', key: '', version: 2 ** 40, value: undefined }]))
  const listed = new Set<string>()
  for (let round = 0; round < 30; round++) {
    for (const answer of heard(space, 'm2', { type: 'fingerprint', scope: 's', hash: new Uint8Array(8) }))
      if (answer.type === 'digest') for (const { owner } of answer.owners) listed.add(owner)
    const nothing = { type: 'digest', scope: 's', range: { of: 'all' }, answer: 'is-answer', owners: [] } as const
    const told = heard(space, 'm2', nothing)
    t.equal(told.flatMap((answer) => (answer.type === 'deltas' ? answer.deltas : [])).length, names.length + 1)
  }
  t.equal(listed.size, names.length + 1, 'what does not fit into one comparison is listed in another')
})

t.test('a digest that names more buckets than there are is refused unread', async (t) => {
  const buckets = new Array<number>(257).fill(0)
  const message: GossipMessage = {
    type: 'digest',
    scope: 's',
    range: { of: 'buckets', buckets },
    answer: 'wants-answer',
    owners: [],
  }
  t.throws(() => decodeGossip(encodeGossip(message)), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('to one that has more and forgot less, nothing is said that cannot be read', async (t) => {
  const space = manager()
  const delta: Delta = {
    owner: 'w1',
    epoch: 1,
    from: 0,
    to: 3,
    gc: 3,
    max: 3,
    reset: false,
    rows: [{ table: 'load', key: 'cpu', version: 3, value: Uint8Array.of(1) }],
  }
  heard(space, 'w1', { type: 'deltas', scope: 's', deltas: [delta], push: true })
  const owners = [{ owner: 'w1', epoch: 1, gc: 1, max: 9 }]
  const answers = heard(space, 'm2', { type: 'digest', scope: 's', range: { of: 'listed' }, answer: 'wants-answer', owners })
  t.match(answers, [{ type: 'digest', owners: [{ owner: 'w1', max: 3 }] }], 'it asks for what it lacks')
})

/** A well-formed message of any kind, its numbers at their edges. */
function wild(random: Random): GossipMessage {
  const number = (): number =>
    pick(random, [0, 1, 2, 3, 5, 100, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]) as number
  const owner = (): string => pick(random, ['m1', 'm2', 'w1', 'w2', '']) as string
  const some = <T>(make: () => T): T[] => Array.from({ length: below(random, 5) }, make)
  const delta = (): Delta => {
    const [from = 0, to = 0, max = 0] = [number(), number(), number()].sort((a, b) => a - b)
    const versions = new Set(some(() => Math.min(to, from + 1 + below(random, 8))).sort((a, b) => a - b))
    const rows = [...versions]
      .filter((version) => version > from)
      .map((version) => ({
        table: 't',
        key: `k${below(random, 4)}`,
        version,
        value: random() < 0.3 ? undefined : new Uint8Array(below(random, 40)),
      }))
    const reset = from === 0 && random() < 0.3
    return { owner: owner(), epoch: number(), from, to, gc: Math.min(number(), max), max, reset, rows }
  }
  const range = pick(random, [
    { of: 'all' },
    { of: 'listed' },
    { of: 'buckets', buckets: some(() => below(random, 256)) },
  ] as const) as { readonly of: 'all' }
  const kinds: readonly GossipMessage[] = [
    {
      type: 'digest',
      scope: 's',
      range,
      answer: random() < 0.5 ? 'is-answer' : 'wants-answer',
      owners: some(() => ({ owner: owner(), epoch: number(), gc: number(), max: number() })),
    },
    { type: 'fingerprint', scope: 's', hash: Uint8Array.from({ length: 8 }, () => below(random, 256)) },
    { type: 'buckets', scope: 's', hashes: Uint8Array.from({ length: 2_048 }, () => below(random, 256)) },
    { type: 'deltas', scope: 's', deltas: some(delta), push: random() < 0.5, ...(random() < 0.2 && { more: range }) },
  ]
  return pick(random, kinds) as GossipMessage
}

t.test(
  '20,000 messages of nonsense in good form, from workers and managers: a holder goes on, and all it says can be read',
  async (t) => {
    const random = seededRandom(Number(process.env.SKEIN_FUZZ_SEED ?? 11))
    let space = manager()
    let nowMs = 0
    for (let round = 0; round < 20_000; round++) {
      const message = wild(random)
      let readable: GossipMessage
      try {
        readable = decodeGossip(encodeGossip(message))
      } catch {
        continue // its parts do not fit together: refused before anybody acts on it
      }
      for (const { message: answer } of space.receive(pick(random, ['w1', 'm2']) as string, readable))
        decodeGossip(encodeGossip(answer))
      nowMs += below(random, 60)
      for (const { message: said } of space.tick(nowMs)) decodeGossip(encodeGossip(said))
      space.takeChanges()
      if (random() < 0.01) space.retract(pick(random, ['w1', 'w2']) as string)
      if (random() < 0.01) space.write('t', `own${below(random, 5)}`, Uint8Array.of(1))
      if (random() < 0.01)
        space.standing(pick(random, ['w1', 'w2']) as string, pick(random, ['alive', 'failed', 'left'] as const) as 'alive', nowMs)
      space.partners(['m2', 'w1'])
      if (round % 500 === 499) space = manager()
    }
    t.pass()
  },
)

/** The longest there is. */
const scope = 's'.repeat(256)
const edges = [0, 1, 2, 255, 2 ** 16, 2 ** 32, 2 ** 48, 2 ** 51, 2 ** 52, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]

/** A message as large as it may be, its lists at their limits: some name one owner many times, some thousands of owners, some in long names. */
function huge(random: Random, from: string): GossipMessage {
  const number = (): number => pick(random, edges) as number
  const nameLength = pick(random, [1, 12, 12, 256]) as number
  const count = Math.floor(below(random, 62_000) / (nameLength + (pick(random, [8, 30]) as number)))
  const ownerOf: (at: number) => string = pick(random, [
    (at: number) => `${at}`.padStart(nameLength, 'o').slice(0, 256),
    (at: number) => `${below(random, count) + at}`.padStart(nameLength, 'x'),
    (at: number) => (at === 0 ? from : `${at}`.padStart(nameLength, 'o')),
    () => from,
  ]) as (at: number) => string
  const many = <T>(make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
  const range = pick(random, [
    { of: 'all' },
    { of: 'listed' },
    { of: 'buckets', buckets: Array.from({ length: 256 }, () => below(random, 256)) },
  ] as const) as { readonly of: 'all' }
  const epoch = number()
  if (random() < 0.6) {
    const owners = many((at) => ({ owner: ownerOf(at), epoch, gc: number(), max: number() }))
    return { type: 'digest', scope, range, answer: random() < 0.3 ? 'is-answer' : 'wants-answer', owners }
  }
  const deltas = many((at): Delta => {
    const [first = 0, to = 0, max = 0] = [number(), number(), number()].sort((a, b) => a - b)
    const value = random() < 0.3 ? undefined : new Uint8Array(below(random, 4))
    const rows = to > first ? [{ table: '', key: `${below(random, 3)}`, version: to, value }] : []
    return {
      owner: ownerOf(at),
      epoch,
      from: first,
      to,
      gc: Math.min(number(), max),
      max,
      reset: first === 0 && random() < 0.3,
      rows,
    }
  })
  // As many as fit: what is in them is what this is about.
  while (deltas.length > 0 && encodeGossip({ type: 'deltas', scope, deltas, push: true }).length > 60_000)
    deltas.splice(0, Math.ceil(deltas.length / 8))
  return { type: 'deltas', scope, deltas, push: random() < 0.5, ...(random() < 0.5 && { more: range }) }
}

t.test(
  'messages with their lists at their limits, from workers and managers, end no manager, whatever it answers and says by itself',
  async (t) => {
    const random = seededRandom(Number(process.env.SKEIN_FUZZ_SEED ?? 12))
    let [read, answered, largestBytes] = [0, 0, 0]
    for (let life = 0; life < 6; life++) {
      const clock = new ManualClock()
      await using gossip = new Gossip({
        self: 'm1',
        epoch: 1,
        clock,
        random,
        accepts: (_scope, from, owner) => from === owner || from.startsWith('m'),
        send: (_to, bytes) => {
          decodeGossip(bytes)
          answered++
          largestBytes = Math.max(largestBytes, bytes.length)
          return random() < 0.9
        },
      })
      gossip.join(scope, { part: 'holder' })
      gossip.partners(scope, ['m2'])
      gossip.readers(scope, ['w1', 'w2'])
      gossip.start()
      const table = gossip.table(scope, '', natural)
      for (let round = 0; round < 30; round++) {
        const from = pick(random, life % 2 === 0 ? ['w1', 'w2'] : ['w1', 'm2']) as string
        gossip.receive(from, encodeGossip(huge(random, from)))
        gossip.receive(from, encodeGossip({ type: 'fingerprint', scope, hash: new Uint8Array(8) }))
        gossip.receive(from, encodeGossip({ type: 'buckets', scope, hashes: new Uint8Array(2_048).fill(round) }))
        const nobody = { type: 'digest', scope, range: { of: 'all' }, answer: 'wants-answer', owners: [] } as const
        gossip.receive(from, encodeGossip(nobody))
        if (random() < 0.1) table.set('own', round)
        for (const owner of gossip.owners(scope).filter(() => random() < 0.05))
          gossip.standing(owner, pick(random, ['failed', 'left', 'removed', 'alive'] as const) as 'left', scope)
        for (const [owner, epoch] of [...gossip.takeClaims(scope)].slice(0, 20)) gossip.retract(scope, owner, epoch)
        clock.advance(below(random, 400))
      }
      read += gossip.counters.received
    }
    t.ok(read > 500, `${read} were read`)
    t.ok(answered > 500, `${answered} answers and pushes`)
    t.ok(largestBytes > 40_000, `up to ${largestBytes} bytes`)
  },
)

t.test('who asks for everything again and again is answered so much a second, and others as ever', async (t) => {
  const clock = new ManualClock()
  const said = new Map<string, number>()
  const bytesTo = (node: string): number => said.get(node) ?? 0
  await using gossip = new Gossip({
    self: 'm1',
    epoch: 1,
    clock,
    random: seededRandom(1),
    accepts: (_scope, from, owner) => from === owner || from.startsWith('m'),
    tells: () => true,
    send: (to, bytes) => {
      said.set(to, (said.get(to) ?? 0) + bytes.length)
      return true
    },
  })
  gossip.join('s', { part: 'holder' })
  gossip.partners('s', ['m2'])
  const table = gossip.table('s', 't', natural)
  for (let row = 0; row < 20_000; row++) table.set(`key ${row}`, row)
  const everything = encodeGossip({ type: 'digest', scope: 's', range: { of: 'all' }, answer: 'wants-answer', owners: [] })
  const fingerprint = encodeGossip({ type: 'fingerprint', scope: 's', hash: new Uint8Array(8) })
  const ask = (from: string, question: Uint8Array, times: number): void => {
    for (let time = 0; time < times; time++) gossip.receive(from, question)
  }
  ask('w2', everything, 1)
  const one = bytesTo('w2')
  t.ok(one > 200_000, `${one} bytes for ${everything.length}`)
  ask('w1', everything, 200)
  t.ok(bytesTo('w1') > answersMaxBytes / 2, `${bytesTo('w1')} bytes`)
  t.ok(bytesTo('w1') <= answersMaxBytes + one, `${bytesTo('w1')} bytes`)
  t.equal(gossip.counters.overasked > 100, true)
  ask('w2', everything, 1)
  t.equal(bytesTo('w2'), 2 * one, 'another is answered')
  ask('m2', everything, 70)
  t.equal(bytesTo('m2'), 70 * one, 'a manager may ask for all it lacks')
  const before = gossip.counters
  ask('w3', fingerprint, 2_000)
  t.ok(gossip.counters.received - before.received <= 256, 'small questions count too')
  clock.advance(1_000)
  const past = bytesTo('w1')
  ask('w1', everything, 1)
  t.equal(bytesTo('w1'), past + one, 'and a second later it is answered again')
})
