/** Rules of the core that a group as a whole hides: without any one of them most groups do nearly as well. */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { type MemberRecord, type Profile, packetBytes, roundTripMs } from '../../../lib/overlay/swim/index.js'
import { bucketOf } from '../../../lib/overlay/swim/member-table.js'
import { alive, Lonely, nodeId, of, suspect } from './lonely.js'

const refuted = (number: number): MemberRecord => ({ ...alive(number), incarnation: 2, profile: undefined })

t.test('compound messages: what is new rides on the pings and acks that go anyway', async (t) => {
  const one = new Lonely(30)
  one.receive(2, { type: 'gossip' }, [suspect(3, 'silent', 2)])
  const [ack] = of(one.receive(4, { type: 'ping', seq: 1, digest: one.core.digest }), 'ack')
  t.ok(
    ack?.records.some(({ id }) => id === nodeId(3)),
    'on an ack',
  )
  let ping: ReturnType<Lonely['pass']>[number] | undefined
  for (let number = 10; ping === undefined; number++) {
    one.receive(2, { type: 'gossip' }, [suspect(number, 'silent', 2)])
    ;[ping] = of(one.pass(50), 'ping')
  }
  t.ok(
    ping.records.some(({ id }) => id !== ping.to),
    'on a ping',
  )
})

t.test(
  'ring observers: whoever accuses tells the neighbours of the accused in the same moment, with its testimony',
  async (t) => {
    const one = new Lonely(40)
    let [sent, accused] = [[] as ReturnType<Lonely['pass']>, 0]
    while (accused === 0) {
      sent = one.pass(1)
      accused = Number(one.core.members().find(({ state }) => state === 'suspect')?.id ?? 0)
    }
    const told = of(sent, 'gossip').filter(({ records }) =>
      records.some(({ id, state }) => Number(id) === accused && state === 'suspect'),
    )
    const around = [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]
      .map((step) => ((accused - 1 + step + 40) % 40) + 1)
      .filter((each) => each !== 1)
    const heard = new Set(told.map(({ to }) => Number(to)))
    t.strictSame(
      around.filter((each) => !heard.has(each)),
      [],
      `those around ${accused}`,
    )
    t.ok(told[0]?.records.some(({ accusations }) => accusations.some(({ by }) => by === nodeId(1))))
  },
)

t.test(
  'ring observers: a member that hears one after it on the ring accused asks it at once; of others it waits for its turn',
  async (t) => {
    for (const [accused, isWatched] of [
      [2, true],
      [6, true],
      [7, false],
      [30, false],
    ] as const) {
      const one = new Lonely(40)
      const sent = one.receive(20, { type: 'gossip' }, [suspect(accused, 'silent', 20)])
      t.equal(
        of(sent, 'ping').some(({ to }) => to === nodeId(accused)),
        isWatched,
        `member ${accused}`,
      )
    }
  },
)

t.test('a member that stood still takes itself for slow', async (t) => {
  const one = new Lonely(10)
  t.equal(one.core.healthScore, 0)
  one.stall(3_000)
  t.equal(one.core.healthScore, 1)
})

t.test('coordinates: round trips of probes tell how far a member is', async (t) => {
  const one = new Lonely(2)
  const there = one.core.coordinate
  for (let round = 0; round < 60; round++) {
    let [ping] = of(one.pass(1), 'ping')
    while (ping === undefined) [ping] = of(one.pass(1), 'ping')
    one.pass(40)
    one.receive(2, { type: 'ack', seq: ping.message.seq, digest: one.core.digest, coordinate: there })
  }
  const other = one.core.coordinateOf(nodeId(2))
  const tripMs = other === undefined ? 0 : roundTripMs(one.core.coordinate, other)
  t.ok(tripMs > 35 && tripMs < 45, `${tripMs} ms for a trip of 40`)
})

t.test('neo4j#5667: accusers who are suspected themselves take nobody down; others do', async (t) => {
  for (const [isSuspected, state] of [
    [true, 'suspect'],
    [false, 'dead'],
  ] as const) {
    const one = new Lonely(12)
    if (isSuspected) one.receive(8, { type: 'gossip' }, [suspect(6, 'silent', 8), suspect(7, 'silent', 8)])
    one.receive(8, { type: 'gossip' }, [suspect(5, 'refused', 6, 7)])
    one.pass(500)
    t.equal(one.stateOf(5), state)
  }
})

t.test('consul#5928: an accuser whom five objected to is no second witness for a minute', async (t) => {
  for (const [wrong, state] of [
    [[2, 3, 4, 5, 6], 'suspect'],
    [[2, 3, 4, 5], 'dead'],
  ] as const) {
    const one = new Lonely(12)
    for (const number of wrong) {
      one.receive(9, { type: 'gossip' }, [suspect(number, 'silent', 9)])
      one.receive(number, { type: 'gossip' }, [refuted(number)])
    }
    one.receive(8, { type: 'gossip' }, [suspect(7, 'refused', 8, 9)])
    one.pass(500)
    t.equal(one.stateOf(7), state, `${wrong.length} objected`)
  }
})

t.test('serf#627: when it is our own network that fails, silence is held against nobody', async (t) => {
  const suspected = (saw: 'local' | 'silent'): number => {
    const one = new Lonely(10)
    for (let ms = 0; ms < 10_000; ms++) {
      one.pass(1)
      for (const peer of one.triages.splice(0)) one.evidence(peer as NodeId, saw)
    }
    return one.core.members().filter(({ state }) => state !== 'alive').length
  }
  t.equal(suspected('local'), 0)
  t.ok(suspected('silent') > 0, 'silence of others is')
})

t.test('a death that comes with much else that is old is believed from its witnesses, and as long as nobody rises', async (t) => {
  const dead = (...by: readonly number[]): MemberRecord => ({ ...suspect(20, 'silent', ...by), state: 'dead' })
  const much = Array.from({ length: 10 }, (_, at): MemberRecord => ({ ...alive(21 + at), profile: undefined }))
  const isAsked = (sent: ReturnType<Lonely['receive']>): boolean => of(sent, 'ping').some(({ to }) => to === nodeId(20))

  const undivided = new Lonely(40)
  t.notOk(isAsked(undivided.receive(8, { type: 'share' }, [dead(8, 9), ...much])))
  t.equal(undivided.stateOf(20), 'dead', 'two witnesses')
  t.equal(undivided.core.load.rumours, 0, 'and it is not passed on: it is old')

  const unproven = new Lonely(40)
  t.ok(isAsked(unproven.receive(8, { type: 'share' }, [dead(8), ...much])), 'one witness: it is asked itself')
  t.equal(unproven.stateOf(20), 'alive')

  // After a partition the word of the other side on ours looks just like it.
  const reunited = new Lonely(40)
  reunited.receive(8, { type: 'gossip' }, [{ ...suspect(30, 'silent', 8, 9), state: 'dead' }])
  reunited.receive(8, { type: 'gossip' }, [refuted(30)])
  t.ok(isAsked(reunited.receive(8, { type: 'share' }, [dead(8, 9), ...much])), 'it is asked itself')
  t.equal(reunited.stateOf(20), 'alive')
  reunited.receive(8, { type: 'gossip' }, [dead(8, 9)])
  t.equal(reunited.stateOf(20), 'dead', 'as news it is believed')

  const calledDead = new Lonely(40)
  calledDead.receive(8, { type: 'gossip' }, [{ ...suspect(1, 'silent', 8, 9), state: 'dead' }])
  calledDead.receive(8, { type: 'share' }, [dead(8, 9), ...much])
  t.equal(calledDead.stateOf(20), 'alive', 'who is called dead itself knows that there were two sides')

  const restarted = new Lonely(40)
  restarted.receive(8, { type: 'gossip' }, [{ ...suspect(30, 'silent', 8, 9), state: 'dead' }])
  restarted.receive(8, { type: 'gossip' }, [{ ...alive(30), epoch: 2 }])
  restarted.receive(8, { type: 'share' }, [dead(8, 9), ...much])
  t.equal(restarted.stateOf(20), 'dead', 'a new process where one had died is no reunion')
})

t.test(
  'anti-entropy: however large the group and few the buckets that are asked for, each is told whole, in packets that fit',
  async (t) => {
    const size = 3_000
    for (const asked of [1, 16, 256]) {
      const one = new Lonely(size)
      const answer = of(one.receive(2, { type: 'sync', buckets: new Uint32Array(asked) }), 'briefs')
      t.ok(Math.max(...answer.map(packetBytes)) <= 1_200, 'no packet is too long')
      const told = new Set<NodeId>()
      for (const { message } of answer) {
        const { count, buckets, briefs } = message
        t.ok(briefs.every(({ id }) => buckets.includes(bucketOf(id, count))))
        for (const { id } of briefs) told.add(id)
      }
      t.equal(told.size, size, `${asked} asked for`)

      // Whoever hears it fetches what it lacks, and gives what is missing there: nothing here, but itself.
      const newcomer = new Lonely(1)
      const [wanted, given] = [new Set<NodeId>(), new Set<NodeId>()]
      newcomer.receive(2, { type: 'gossip' }, [alive(2)])
      newcomer.receive(2, { type: 'gossip' }, [alive(size + 1)])
      newcomer.ask(2)
      for (const { message } of answer)
        for (const packet of newcomer.receive(2, message)) {
          if (packet.message.type === 'pull') for (const id of packet.message.ids) wanted.add(id)
          if (packet.message.type === 'share') for (const { id } of packet.records) given.add(id)
        }
      t.equal(wanted.size, size - 2)
      t.strictSame([...given], [nodeId(size + 1)])
    }
  },
)

t.test('anti-entropy: halves that meet do not tell each other whom they held dead; they ask those', async (t) => {
  const dead = (number: number): MemberRecord => ({ ...suspect(number, 'silent', 8, 9), state: 'dead' })
  // They hold 20 dead that we hold alive, and 25 alive that we hold dead.
  const briefs = Array.from({ length: 40 }, (_, at) => (at + 1 === 20 ? { ...alive(20), state: 'dead' as const } : alive(at + 1)))
  const meet = (isReunion: boolean): ReturnType<Lonely['receive']> => {
    const one = new Lonely(40)
    one.receive(8, { type: 'gossip' }, [dead(25), dead(30)])
    one.receive(8, { type: 'gossip' }, [isReunion ? refuted(30) : { ...alive(30), epoch: 2 }])
    one.pass(2_000)
    one.ask(8)
    return one.receive(8, { type: 'briefs', count: 1, buckets: [0], briefs })
  }
  const numbersOf = (ids: Iterable<NodeId>): number[] => [...ids].map(Number)
  const wanted = (sent: ReturnType<typeof meet>): number[] => numbersOf(of(sent, 'pull').flatMap(({ message }) => message.ids))
  const given = (sent: ReturnType<typeof meet>): number[] =>
    numbersOf(of(sent, 'share').flatMap(({ records }) => records.map(({ id }) => id)))

  const [usual, reunion] = [meet(false), meet(true)]
  t.ok(wanted(usual).includes(20) && given(usual).includes(25), 'verdicts are told like all else')
  t.notOk(wanted(reunion).includes(20) || given(reunion).includes(25))
  for (const number of [20, 25]) {
    const told = reunion.filter(({ to, records }) => Number(to) === number && records.some(({ state }) => state === 'dead'))
    t.ok(told.length > 0, `${number} is asked, and told what is said of it`)
  }
})

t.test('anti-entropy: who learns a little all the time asks all the same, for what it does not learn', async (t) => {
  const one = new Lonely(200)
  one.pass(1_000)
  let asked = 0
  for (let round = 0; round < 60; round++) {
    const sent = [
      ...one.receive(8, { type: 'ping', seq: round, digest: 1 }),
      ...one.receive(8, { type: 'gossip' }, [{ ...alive(20 + round), incarnation: 2, profile: undefined }]),
      ...one.pass(100),
    ]
    asked += of(sent, 'sync').length
  }
  t.ok(asked >= 1 && asked <= 4, `${asked} times in six seconds`)
})

t.test('rumours are not told to those who perhaps hear nothing any more, unless there is nobody else', async (t) => {
  const others = Array.from({ length: 3 }, (_, at) => 10 + at)
  const one = new Lonely(40)
  one.receive(
    2,
    { type: 'gossip' },
    others.map((number) => suspect(number, 'silent', 2, 3)),
  )
  const sent = one.pass(3_000)
  const toThem = sent.filter(({ to, message }) => others.includes(Number(to)) && message.type !== 'ack')
  t.ok(toThem.length > 0, 'they are asked')
  t.ok(
    toThem.every(({ to, records }) => records.every(({ id }) => id === to)),
    'and told what is said of themselves',
  )
  const pair = new Lonely(2)
  pair.receive(2, { type: 'gossip' }, [suspect(2, 'silent', 2)])
  t.ok(of(pair.pass(1_000), 'gossip').length > 0)
})

t.test('a neighbour that starts again at another address before anybody missed it is linked to there', async (t) => {
  const one = new Lonely(4)
  t.same(one.neighbours, ['h2:1', 'h3:1', 'h4:1'])
  const moved = (number: number, address: string): MemberRecord => {
    const { profile, ...rest } = alive(number)
    return { ...rest, epoch: 2, profile: { ...(profile as Profile), address } }
  }
  one.receive(2, { type: 'gossip' }, [moved(3, 'elsewhere:1')])
  t.same(one.neighbours, ['h2:1', 'elsewhere:1', 'h4:1'])
  // In short first, what it says of itself later: until then the old address stands.
  one.receive(2, { type: 'gossip' }, [{ ...alive(4), epoch: 2, profile: undefined }])
  t.same(one.neighbours, ['h2:1', 'elsewhere:1', 'h4:1'])
  one.receive(2, { type: 'share' }, [moved(4, 'there:1')])
  t.same(one.neighbours, ['h2:1', 'elsewhere:1', 'there:1'])
})

t.test(
  'who is asked to ping for another and cannot says so at once, and a busy relay is free again within ten seconds',
  async (t) => {
    const one = new Lonely(10)
    const ask = (seq: number, target: NodeId, remainingMs = 65_535): ReturnType<Lonely['receive']> =>
      one.receive(2, { type: 'ping-req', seq, target, remainingMs })
    const nacks = (sent: ReturnType<typeof ask>): number[] => of(sent, 'nack').map(({ message }) => message.seq)
    t.same(nacks(ask(1, nodeId(99))), [1], 'nobody it knows')
    for (let seq = 2; seq < 2 + 1_024; seq++) t.same(nacks(ask(seq, nodeId(3))), [])
    t.same(nacks(ask(5_000, nodeId(3))), [5_000], 'too much asked')
    one.pass(10_000)
    t.same(nacks(ask(5_001, nodeId(3))), [], 'it pings')
  },
)

t.test('a refusal counts from who was let in before, and beside one who was', async (t) => {
  const refusedBy = (...by: readonly number[]): Lonely => {
    const one = new Lonely(40)
    if (by.length > 0) one.receive(8, { type: 'gossip' }, [suspect(2, 'refused', ...by)])
    one.evidence(nodeId(2), 'refused')
    one.pass(150)
    return one
  }
  t.equal(refusedBy().stateOf(2), 'alive', 'of our own alone: it may refuse everybody all its life')
  t.equal(refusedBy(8).stateOf(2), 'dead', 'a second one')
  const watcher = new Lonely(40)
  watcher.receive(8, { type: 'gossip' }, [suspect(2, 'refused', 8)])
  t.ok(watcher.triages.includes(nodeId(2)), 'who watches it looks at once')
  watcher.receive(
    8,
    { type: 'gossip' },
    Array.from({ length: 30 }, (_, at) => ({ ...suspect(2, 'refused', 8), incarnation: at + 2 })),
  )
  t.equal(watcher.triages.filter((id) => id === nodeId(2)).length, 1, 'once for each probe, whatever is said meanwhile')
  const other = new Lonely(40)
  other.receive(8, { type: 'gossip' }, [suspect(20, 'refused', 8)])
  t.notOk(other.triages.includes(nodeId(20)), 'and not everybody')
})

t.test('a member whose machine takes connections is asked once more before it is called stopped', async (t) => {
  const one = new Lonely(10)
  while (one.triages.length === 0) one.pass(1)
  const [peer] = one.triages.splice(0) as [NodeId]
  t.ok(of(one.evidence(peer, 'accepting'), 'ping').some(({ to }) => to === peer))
  one.pass(1_000)
  t.equal(one.core.member(peer)?.state, 'degraded', 'and is, when it does not answer that either')
})

t.test(
  'a host that no route leads to any more, or whose name went with it, is missed: relays that answer show that our own network works',
  async (t) => {
    const one = new Lonely(10)
    for (let ms = 0; ms < 10_000; ms++) {
      for (const { to, message } of of(one.pass(1), 'ping-req')) one.receive(Number(to), { type: 'nack', seq: message.seq })
      for (const peer of one.triages.splice(0)) one.evidence(peer, 'local')
    }
    t.ok(one.core.members().some(({ state }) => state === 'suspect'))
  },
)
