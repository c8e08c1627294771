/** Two processes compare what they hold: what passes between them when it is the same, and when it is not. */
import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import { Comparison, ownersPerDigest } from '../../../lib/overlay/gossip/comparison.js'
import { Holdings, never } from '../../../lib/overlay/gossip/holdings.js'
import { encodeGossip, type GossipMessage } from '../../../lib/overlay/gossip/messages.js'
import { type Part, Rights } from '../../../lib/overlay/gossip/rights.js'

interface Side {
  readonly id: string
  readonly holdings: Holdings
  readonly comparison: Comparison
}

function side(id: string, part: Part = 'holder'): Side {
  const holdings = new Holdings(id, 1)
  const rights = new Rights({ self: id, part, accepts: () => true })
  return { id, holdings, comparison: new Comparison({ scope: 's', holdings, rights, random: seededRandom(1) }) }
}

/** Takes so many rows of an owner as if it had told them. */
function hear({ holdings }: Side, owner: string, rows: number, epoch = 1): void {
  const keyspace = holdings.get(owner) ?? holdings.open(owner, 0)
  const { max } = keyspace.summary.epoch === epoch ? keyspace.summary : { max: 0 }
  const told = Array.from({ length: rows }, (_, at) => max + at + 1).map((version) => ({
    table: 't',
    key: `k${version}`,
    version,
    value: Uint8Array.of(1),
  }))
  keyspace.apply({ owner, epoch, from: max, to: max + rows, gc: 0, max: max + rows, reset: false, rows: told })
}

/** Every message of a comparison that `a` begins, until nobody has anything to say. Nobody takes what is told. */
function compare(a: Side, b: Side): readonly GossipMessage['type'][] {
  const said: GossipMessage['type'][] = []
  let toB: readonly GossipMessage[] = [a.comparison.opening(b.id)]
  while (toB.length > 0) {
    said.push(...toB.map(({ type }) => type))
    const toA = toB.flatMap((message) => answer(b, a.id, message))
    said.push(...toA.map(({ type }) => type))
    toB = toA.flatMap((message) => answer(a, b.id, message))
  }
  return said
}

function answer({ comparison }: Side, from: string, message: GossipMessage): readonly GossipMessage[] {
  switch (message.type) {
    case 'fingerprint':
      return comparison.onFingerprint(from, message.hash)
    case 'buckets':
      return comparison.onBuckets(from, message.hashes)
    case 'digest':
      return comparison.onDigest(from, message)
    default:
      return []
  }
}

/** Two sides that hold the same of so many owners. */
function alike(owners: number): readonly [Side, Side] {
  const both = [side('a'), side('b')] as const
  for (const each of both) {
    for (const { holdings } of both) if (holdings.own.owner !== each.id) each.holdings.open(holdings.own.owner, 1)
    for (let owner = 0; owner < owners; owner++) hear(each, `owner${owner}`, 1)
  }
  return both
}

for (const owners of [1, 100, ownersPerDigest + 100]) {
  t.test(`two that hold the same of ${owners} owners know it by one message of less than 60 bytes`, async (t) => {
    const [a, b] = alike(owners)
    t.same(compare(a, b), ['fingerprint'])
    t.ok(encodeGossip(a.comparison.opening('b')).length < 60)
  })
}

t.test('where they differ, one says where it stands, and is told what it lacks and asked for what it has', async (t) => {
  const [a, b] = alike(100)
  hear(a, 'owner7', 1)
  t.same(compare(a, b), ['fingerprint', 'digest', 'deltas'], 'the first has more')
  t.same(compare(b, a), ['fingerprint', 'digest', 'digest', 'deltas'], 'the second has more')
})

t.test('of many owners only those of the buckets that differ are listed', async (t) => {
  const [a, b] = alike(ownersPerDigest + 100)
  hear(a, 'owner7', 1)
  t.same(compare(a, b), ['fingerprint', 'buckets', 'digest', 'digest', 'deltas'])
  const [buckets] = b.comparison.onFingerprint('a', a.holdings.fingerprint()) as [GossipMessage & { type: 'buckets' }]
  const [digest] = a.comparison.onBuckets('b', buckets.hashes) as [GossipMessage & { type: 'digest' }]
  t.ok(digest.owners.length < 20, `${digest.owners.length} owners`)
  t.ok(digest.owners.some(({ owner }) => owner === 'owner7'))
})

t.test('one who came after an owner was removed holds the same as those who refuse it', async (t) => {
  const [a, b] = alike(10)
  hear(a, 'removed', 3)
  a.holdings.drop('removed', never)
  t.same(compare(a, b), ['fingerprint'])
  hear(b, 'removed', 3)
  t.not(compare(a, b).length, 1, 'who still holds it is not the same')
})

t.test('an author begins with itself, and answers to nothing but a digest', async (t) => {
  const author = side('a', 'author')
  const other = side('b')
  t.match(author.comparison.opening('b'), { type: 'digest', range: { of: 'listed' }, owners: [{ owner: 'a' }] })
  t.same(author.comparison.onFingerprint('b', other.holdings.fingerprint()), [])
  t.same(author.comparison.onBuckets('b', other.holdings.bucketHashes()), [])
})

t.test('fingerprints are equal exactly where the same is held, in whatever order it came', async (t) => {
  const word = fc.record({ owner: fc.nat(4), rows: fc.integer({ min: 0, max: 2 }), epoch: fc.integer({ min: 1, max: 2 }) })
  const hold = (words: readonly { owner: number; rows: number; epoch: number }[]): Side => {
    const holder = side('x')
    for (const { owner, rows, epoch } of words) {
      hear(holder, `o${owner}`, rows, epoch)
      holder.holdings.fingerprint() // what it kept of this one must not outlive the next word
    }
    return holder
  }
  const standing = ({ holdings }: Side): string =>
    [...holdings.summaries({ of: 'all' })]
      .map((each) => JSON.stringify(each))
      .sort()
      .join(' ')
  let equal = 0
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.array(word, { maxLength: 8 }), (first, second) => {
      for (const [one, other] of [
        [hold(first), hold(second)],
        [hold(first), hold([...first].sort((a, b) => a.owner - b.owner))],
      ] as const) {
        const isEqual = Buffer.compare(one.holdings.fingerprint(), other.holdings.fingerprint()) === 0
        if (isEqual) equal++
        if (isEqual !== (standing(one) === standing(other))) throw new Error(`${standing(one)} beside ${standing(other)}`)
      }
    }),
  )
  t.ok(equal > 20, 'both kinds were met')
})
