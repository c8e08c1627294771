import fc from 'fast-check'
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import { Awareness } from '../../../lib/overlay/swim/awareness.js'
import { moved, origin, roundTripMs } from '../../../lib/overlay/swim/coordinate.js'
import { Credibility } from '../../../lib/overlay/swim/credibility.js'
import { Damper } from '../../../lib/overlay/swim/damping.js'
import { type Accusation, type MemberRecord, mergeAccusations } from '../../../lib/overlay/swim/member.js'
import { MemberTable, Roster } from '../../../lib/overlay/swim/member-table.js'
import { resolveSwimOptions } from '../../../lib/overlay/swim/options.js'
import { ProbeOrder } from '../../../lib/overlay/swim/probe-order.js'
import { RoundTrips } from '../../../lib/overlay/swim/round-trips.js'
import { Rumours } from '../../../lib/overlay/swim/rumours.js'
import { rosterOf, snapshotOf } from '../../../lib/overlay/swim/snapshot.js'
import { type Case, deadAtMs } from '../../../lib/overlay/swim/suspicion.js'
import { SwimCore } from '../../../lib/overlay/swim/swim-core.js'
import { type Timer, Timers } from '../../../lib/overlay/swim/timers.js'

function nodeId(number: number): NodeId {
  return number.toString(36).padStart(12, '0') as NodeId
}

function record(number: number, change: Partial<MemberRecord> = {}): MemberRecord {
  const profile = { version: 1, address: `h${number}:1`, lanes: 'both', meta: new Uint8Array() } as const
  return { id: nodeId(number), epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [], ...change }
}

const options = resolveSwimOptions()
const silent = (count: number): Accusation[] => Array.from({ length: count }, (_, by) => ({ by: nodeId(by), saw: 'silent' }))
const facts: Case = {
  credible: silent(1),
  members: 100,
  sinceMs: 1000,
  refusedMs: undefined,
  degradedMs: undefined,
  heardMs: undefined,
  doubt: 0,
}

t.test('the end of a suspicion, case by case', async (t) => {
  const refused = (count: number): Accusation[] => silent(count).map(({ by }) => ({ by, saw: 'refused' }))
  const table: readonly [string, Partial<Case>, number][] = [
    ['one accuser: the longest', {}, 1000 + 24_000],
    ['three confirmations: the shortest', { credible: silent(4) }, 1000 + 4000],
    ['more do not shorten it', { credible: silent(5) }, 1000 + 4000],
    ['one confirmation of three', { credible: silent(2) }, 1000 + 14_000],
    ['nobody to be believed: never', { credible: [] }, Number.POSITIVE_INFINITY],
    ['two refusals: after a moment', { credible: refused(2), refusedMs: 1500 }, 1600],
    ['one refusal is one opinion', { credible: refused(1), refusedMs: 1500 }, 25_000],
    ['refusals of one that was heard since', { credible: refused(2), refusedMs: 1500, heardMs: 1501 }, 15_000],
    ['its machine answered lately', { credible: silent(4), degradedMs: 900 }, 900 + 30_000],
    ['of three, one confirmation is all there can be', { credible: silent(2), members: 3 }, 3000],
    ['of two, one word is all there is', { members: 2 }, 5000],
    ['of two, refused: asked ten times', { credible: refused(1), members: 2, refusedMs: 1500 }, 2500],
    ['our word alone, and we are unwell', { doubt: 4 }, 1000 + 48_000],
  ]
  for (const [name, change, atMs] of table) t.equal(deadAtMs({ ...facts, ...change }, options), atMs, name)
})

t.test('testimony merges to the same in any order, and twice is once', async (t) => {
  const accusation = fc.record(
    {
      by: fc.integer({ min: 1, max: 9 }).map(nodeId),
      saw: fc.constantFrom('silent' as const, 'accepting' as const, 'refused' as const),
    },
    { noNullPrototype: true },
  )
  const testimony = fc.array(accusation, { maxLength: 5 }).map((all) => mergeAccusations([], all))
  fc.assert(
    fc.property(testimony, testimony, testimony, (a, b, c) => {
      t.strictSame(mergeAccusations(a, b), mergeAccusations(b, a))
      t.strictSame(mergeAccusations(mergeAccusations(a, b), c), mergeAccusations(a, mergeAccusations(b, c)))
      t.equal(mergeAccusations(a, a), a)
      const both = mergeAccusations(a, b)
      t.equal(mergeAccusations(both, b), both)
    }),
  )
})

t.test('every slot is drawn once per round, also those that were added meanwhile', async (t) => {
  const order = new ProbeOrder(seededRandom(1))
  const first = Array.from({ length: 10 }, () => order.next(10))
  t.equal(new Set(first).size, 10)
  const half = Array.from({ length: 5 }, () => order.next(10))
  const rest = Array.from({ length: 8 }, () => order.next(13))
  t.equal(new Set([...half, ...rest]).size, 13)
  t.equal(order.next(0), undefined)
})

t.test('a ping waits for three times what pings take, within its bounds', async (t) => {
  const trips = new RoundTrips()
  t.equal(trips.pingTimeoutMs(100, 500), 500, 'nothing known')
  for (let sample = 0; sample < 100; sample++) trips.add(1)
  t.equal(trips.pingTimeoutMs(100, 500), 100)
  for (let sample = 0; sample < 100; sample++) trips.add(60)
  t.equal(trips.pingTimeoutMs(100, 500), 180)
  for (let sample = 0; sample < 100; sample++) trips.add(400)
  t.equal(trips.pingTimeoutMs(100, 500), 500)
})

t.test('rumours: our own first, then the least told, the living before the dead; each as often as allowed', async (t) => {
  const rumours = new Rumours(nodeId(1))
  rumours.add(record(5, { state: 'dead', profile: undefined }))
  rumours.add(record(4, { profile: undefined }))
  rumours.add(record(1, { profile: undefined }))
  const told = (roomBytes: number): number[] => rumours.take(0, roomBytes, 2).map(({ id }) => Number.parseInt(id, 36))
  t.strictSame(told(42), [1, 4])
  t.strictSame(told(42), [5, 1], 'who was not told yet comes before who was')
  t.strictSame(told(1000), [4, 5])
  t.strictSame(told(1000), [])
  rumours.add(record(7))
  rumours.add(record(7, { incarnation: 2 }))
  t.equal(rumours.size, 1, 'the newer word replaces the older')
})

t.test('rumours are kept up to a bound; past it the most told makes room for the new', async (t) => {
  const rumours = new Rumours(nodeId(1))
  rumours.add(record(1, { profile: undefined }))
  const short = (number: number): MemberRecord => record(number, { profile: undefined })
  for (let number = 2; number <= 2048; number++) rumours.add(short(number))
  t.strictSame(
    rumours.take(0, 21, 9).map(({ id }) => id),
    [nodeId(1)],
    'our own is told, and with that the most told',
  )
  rumours.add(short(3000))
  t.equal(rumours.size, 2048)
  rumours.add(short(3001))
  t.equal(rumours.size, 2048)
  const left = new Set(rumours.take(0, 1_000_000, 9).map(({ id }) => id))
  t.notOk(left.has(nodeId(1)), 'what was told makes room first')
  t.notOk(left.has(nodeId(2)), 'then, of those nobody was told, the oldest')
  t.ok(left.has(nodeId(3)) && left.has(nodeId(3000)) && left.has(nodeId(3001)))
})

t.test('awareness stays within 0 and 8 and stretches time', async (t) => {
  const awareness = new Awareness()
  awareness.add(-3)
  t.equal(awareness.scale(100), 100)
  awareness.add(20)
  t.equal(awareness.scale(100), 900)
})

t.test('timers fire in order, are cancelled, and move together', async (t) => {
  const timers = new Timers()
  const fired: number[] = []
  for (const dueMs of [30, 10, 20, 10]) timers.at(dueMs, () => fired.push(dueMs))
  timers.cancel(timers.at(5, () => fired.push(5)))
  t.equal(timers.nextMs, 10)
  timers.postpone(100)
  t.equal(timers.takeDue(109), undefined)
  for (let timer = timers.takeDue(125); timer !== undefined; timer = timers.takeDue(125)) timer.act?.(125, timer.about)
  t.strictSame(fired, [10, 10, 20])
})

t.test('whatever is cancelled and whenever, the others fire in the order of a sorted list', async (t) => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('at' as const), dueMs: fc.integer({ min: 0, max: 500 }) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('cancel' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('take' as const), nowMs: fc.integer({ min: 0, max: 500 }) }) },
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
        const timers = new Timers()
        let model: Timer[] = []
        for (const step of steps) {
          if (step.type === 'at') model.push(timers.at(step.dueMs, () => undefined))
          else if (step.type === 'cancel') {
            const [cancelled] = model.splice(step.which % Math.max(1, model.length), 1)
            timers.cancel(cancelled)
            timers.cancel(cancelled)
          } else {
            model = model.sort((one, other) => one.dueMs - other.dueMs || one.order - other.order)
            const [first] = model
            const due = first !== undefined && first.dueMs <= step.nowMs ? model.shift() : undefined
            if (timers.takeDue(step.nowMs) !== due) return false
          }
        }
        return timers.size >= model.length
      }),
      { numRuns: 60 },
    ),
  )
})

t.test('timers that are cancelled long before they are due do not pile up', async (t) => {
  const timers = new Timers()
  timers.at(1000, () => undefined)
  for (let number = 0; number < 10_000; number++) timers.cancel(timers.at(60_000, () => undefined))
  t.ok(timers.size < 100, `${timers.size} kept for one that is wanted`)
  t.equal(timers.nextMs, 1000)
})

t.test('a table on a roster holds, counts and sums up the same as one that was filled', async (t) => {
  const change = fc.record({
    number: fc.integer({ min: 1, max: 30 }),
    incarnation: fc.integer({ min: 1, max: 4 }),
    state: fc.constantFrom('alive' as const, 'suspect' as const, 'dead' as const, 'left' as const),
    isRemoval: fc.integer({ min: 0, max: 9 }).map((die) => die === 0),
  })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20 }), fc.array(change, { maxLength: 60 }), (size, changes) => {
      const known = Array.from({ length: size }, (_, at) => record(at + 1))
      const [onRoster, filled, model] = [new MemberTable(new Roster(known)), new MemberTable(), new Map<NodeId, MemberRecord>()]
      for (const each of known) {
        filled.set(each)
        model.set(each.id, each)
      }
      for (const { number, incarnation, state, isRemoval } of changes) {
        const next = record(number, { incarnation, state })
        for (const table of [onRoster, filled]) isRemoval ? table.delete(next.id) : table.set(next)
        if (isRemoval) model.delete(next.id)
        else model.set(next.id, next)
      }
      const sorted = [...model.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      const here = sorted.filter(({ state }) => state === 'alive' || state === 'suspect')
      for (const table of [onRoster, filled]) {
        t.strictSame(
          [...table].map(({ id }) => id).sort(),
          sorted.map(({ id }) => id),
        )
        t.equal(table.hereCount, here.length)
        t.equal(table.deadCount, sorted.filter(({ state }) => state === 'dead').length)
        const from = nodeId(15)
        const ring = [...here.filter(({ id }) => id > from), ...here.filter(({ id }) => id < from)].map(({ id }) => id)
        t.strictSame(
          table.successors(from, 5).map(({ id }) => id),
          ring.slice(0, 5),
        )
        t.strictSame(
          table.predecessors(from, 5).map(({ id }) => id),
          ring.reverse().slice(0, 5),
        )
        const shelved = Array.from({ length: 8 }, (_, bucket) => table.inBucket(bucket, 8)).flat()
        t.equal(shelved.length, sorted.length)
      }
      t.equal(onRoster.digest, filled.digest)
    }),
    { numRuns: 60 },
  )
})

t.test('coordinates learn the round trips of a plane', async (t) => {
  const random = seededRandom(5)
  const places = Array.from({ length: 12 }, () => [random() * 50, random() * 50] as const)
  const trip = (a: number, b: number): number => {
    const [[ax, ay], [bx, by]] = [places[a] as readonly [number, number], places[b] as readonly [number, number]]
    return 2 + Math.hypot(ax - bx, ay - by)
  }
  const at = places.map(() => origin)
  for (let round = 0; round < 4000; round++) {
    const [a, b] = [Math.floor(random() * 12), Math.floor(random() * 12)]
    if (a !== b) at[a] = moved(at[a] ?? origin, at[b] ?? origin, trip(a, b), random)
  }
  const errors: number[] = []
  for (let a = 0; a < 12; a++)
    for (let b = 0; b < a; b++) errors.push(Math.abs(roundTripMs(at[a] ?? origin, at[b] ?? origin) - trip(a, b)) / trip(a, b))
  errors.sort((x, y) => x - y)
  t.ok((errors[errors.length >> 1] as number) < 0.1, `median error ${errors[errors.length >> 1]}`)
})

t.test('who accuses five of the living in a minute is not listened to for a minute', async (t) => {
  const credibility = new Credibility()
  for (let subject = 1; subject <= 4; subject++) credibility.refuted(nodeId(9), nodeId(subject), 1000)
  credibility.refuted(nodeId(9), nodeId(1), 1000)
  t.notOk(credibility.isIgnored(nodeId(9), 1000), 'the same one again does not count')
  credibility.refuted(nodeId(9), nodeId(5), 1000)
  t.ok(credibility.isIgnored(nodeId(9), 60_000))
  t.notOk(credibility.isIgnored(nodeId(9), 61_001))

  for (let subject = 1; subject <= 4; subject++) credibility.refuted(nodeId(8), nodeId(subject), 1000)
  credibility.refuted(nodeId(8), nodeId(1), 50_000)
  credibility.refuted(nodeId(8), nodeId(5), 70_000)
  t.notOk(credibility.isIgnored(nodeId(8), 70_000), 'of five, three are past the window, whichever was repeated')
})

t.test('a member that failed five times in a row is damped until its penalty has faded', async (t) => {
  const damper = new Damper()
  for (let failure = 0; failure < 5; failure++) damper.penalise(nodeId(1), 0)
  t.ok(damper.isDamped(nodeId(1), 60_000))
  t.strictSame(damper.prune(60_000), [])
  t.strictSame(damper.prune(90_000), [nodeId(1)])
  t.notOk(damper.isDamped(nodeId(1), 90_000))
})

t.test('a snapshot is plain data and starts a table that sums up the same, suspicions aside', async (t) => {
  const members = [record(1), record(2, { state: 'dead' }), record(3, { state: 'suspect' })]
  const snapshot = snapshotOf(members)
  t.strictSame(
    snapshot.members.map(({ state }) => state),
    ['alive', 'dead', 'alive'],
  )
  t.equal(new MemberTable(rosterOf(snapshot)).digest, new MemberTable(new Roster(members)).digest)
})

t.test('options that cannot work are refused by name', async (t) => {
  for (const [given, words] of [
    [{ probeIntervalMs: 0 }, /swim\.probeIntervalMs: must be a number from 1, got 0/],
    [{ pingTimeoutMinMs: 600 }, /pingTimeoutMinMs/],
    [{ probeIntervalMs: 900 }, /twice pingTimeoutMaxMs/],
    [{ packetBytesMax: 500 }, /packetBytesMax/],
    [{ lanes: 'udp' }, /lanes/],
    [{ speed: 1 }, /swim\.speed: is not an option/],
  ] as const)
    t.throws(() => resolveSwimOptions(given as never), { code: 'ERR_SKEIN_INVALID_OPTION', message: words })
})

t.test('meta over 512 bytes is refused', async (t) => {
  const config = { id: nodeId(1), epoch: 1, address: 'a:1', options, random: seededRandom(1) }
  t.throws(() => new SwimCore({ ...config, meta: new Uint8Array(513) }), { code: 'ERR_SKEIN_TOO_LARGE' })
  const core = new SwimCore(config)
  t.throws(() => core.update(0, { meta: new Uint8Array(513) }), { code: 'ERR_SKEIN_TOO_LARGE' })
})

t.test(
  'in a group of more than all neighbours links wait until arrivals cease, and in a group that never rests at most thirty seconds',
  async (t) => {
    const core = new SwimCore({ id: nodeId(0), epoch: 1, address: 'a:1', options, random: seededRandom(1) })
    const announced: { atMs: number; peers: number[] }[] = []
    const take = (atMs: number, effects: ReturnType<SwimCore['tick']>): void => {
      for (const effect of effects)
        if (effect.type === 'neighbours') announced.push({ atMs, peers: effect.peers.map(({ id }) => Number.parseInt(id, 36)) })
    }
    const arrive = (atMs: number, number: number): void => {
      const from = nodeId(number)
      const message = { type: 'gossip' } as const
      take(
        atMs,
        core.receive(atMs, { from, to: nodeId(0), epoch: 1, incarnation: 1, message, records: [record(number)] }, 'link'),
      )
    }
    const runTo = (endMs: number): void => {
      while (core.wakeAtMs <= endMs) take(core.wakeAtMs, core.tick(core.wakeAtMs))
    }
    take(0, core.start(0))
    // Ids fall, so that each arrival comes between us and the neighbours of before.
    for (let index = 0; index < 20; index++) {
      runTo(index * 300)
      arrive(index * 300, 100 - index)
    }
    runTo(10_000)
    const few = [0, 1, 2, 3, 4].map((index) => ({
      atMs: index * 300,
      peers: [100, 99, 98, 97, 96].slice(0, index + 1).reverse(),
    }))
    t.strictSame(announced.splice(0, 5), few, 'while all are neighbours, at once')
    t.strictSame(announced, [{ atMs: 19 * 300 + 1_000, peers: [81, 82, 83, 84, 85] }], 'then once, a second after the last')
    announced.length = 0
    for (let index = 0; index < 80; index++) {
      runTo(20_000 + index * 400)
      arrive(20_000 + index * 400, 80 - index)
    }
    t.strictSame(
      announced.map(({ atMs }) => atMs),
      [50_000],
    )
  },
)

t.test('who hears of many by one message links to its neighbours among all of them, not to those it read first', async (t) => {
  const core = new SwimCore({ id: nodeId(0), epoch: 1, address: 'a:1', options, random: seededRandom(1) })
  const announced: string[][] = []
  const take = (effects: ReturnType<SwimCore['tick']>): void => {
    for (const effect of effects) if (effect.type === 'neighbours') announced.push(effect.peers.map(({ id }) => id))
  }
  take(core.start(0))
  announced.length = 0
  const numbers = [90, 80, 70, 60, 50, 40, 30, 20, 10]
  const message = { type: 'gossip' } as const
  take(
    core.receive(
      0,
      { from: nodeId(90), to: nodeId(0), epoch: 1, incarnation: 1, message, records: numbers.map((n) => record(n)) },
      'link',
    ),
  )
  t.strictSame(announced, [], 'not while there may be more to come')
  while (core.wakeAtMs <= 10_000 && announced.length === 0) take(core.tick(core.wakeAtMs))
  t.strictSame(announced, [[10, 20, 30, 40, 50].map((n) => nodeId(n))])
})
