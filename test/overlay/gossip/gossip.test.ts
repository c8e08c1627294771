import t from 'tap'
import type { Clock } from '../../../lib/base/clock.js'
import { seededRandom } from '../../../lib/base/random.js'
import { Gossip } from '../../../lib/overlay/gossip/index.js'
import { decodeGossip, encodeGossip } from '../../../lib/overlay/gossip/messages.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { natural, string } from '../../../lib/wire/decode.js'

interface World {
  readonly clock: ManualClock
  readonly cut: Set<string>
  readonly nodes: Map<string, Gossip>
  /** How often a node's timer went off. */
  ticks(node: string): number
  add(self: string, part: 'holder' | 'author', accepts?: (from: string, owner: string) => boolean): Gossip
}

function world(): World {
  const clock = new ManualClock()
  const random = seededRandom(4)
  const nodes = new Map<string, Gossip>()
  const cut = new Set<string>()
  const ticks = new Map<string, number>()
  return {
    clock,
    cut,
    nodes,
    ticks: (node) => ticks.get(node) ?? 0,
    add(self, part, accepts = () => true) {
      const gossip = new Gossip({
        self,
        epoch: 1,
        clock: counting(clock, () => ticks.set(self, (ticks.get(self) ?? 0) + 1)),
        random,
        accepts: (_scope, from, owner) => accepts(from, owner),
        send: (to, bytes) => {
          if (cut.has(self) || cut.has(to)) return false
          clock.after(1, () => nodes.get(to)?.receive(self, bytes))
          return true
        },
      })
      gossip.join('managers', { part })
      gossip.start()
      nodes.set(self, gossip)
      return gossip
    },
  }
}

function counting(clock: Clock, count: () => void): Clock {
  return {
    now: () => clock.now(),
    wallMs: () => clock.wallMs(),
    every: (periodMs, act) => clock.every(periodMs, act),
    after: (delayMs, act) =>
      clock.after(delayMs, () => {
        count()
        act()
      }),
  }
}

const load = (gossip: Gossip) => gossip.table('managers', 'load', natural)

t.test(
  'workers tell their own rows to one manager each, and every manager knows all of them; workers hear of nobody',
  async (t) => {
    const w = world()
    const managers = ['m1', 'm2', 'm3'].map((id) => w.add(id, 'holder'))
    for (const manager of managers) manager.partners('managers', ['m1', 'm2', 'm3'])
    const workers = Array.from({ length: 30 }, (_each, n) => w.add(`w${n}`, 'author'))
    for (const [n, worker] of workers.entries()) {
      worker.partners('managers', [`m${1 + (n % 3)}`])
      load(worker).set('cpu', n)
    }
    w.clock.advance(3_000)
    for (const manager of managers) {
      t.equal([...load(manager).rows()].length, 30)
      t.equal(load(manager).get('w7', 'cpu'), 7)
    }
    t.equal([...load(workers[0] as Gossip).rows()].length, 1)
    load(workers[7] as Gossip).set('cpu', 700)
    w.clock.advance(300)
    t.equal(load(managers[0] as Gossip).get('w7', 'cpu'), 700, 'news within two flushes')
  },
)

t.test('a worker that moves to another manager brings its rows along, and what changed while it had none', async (t) => {
  const w = world()
  const m1 = w.add('m1', 'holder')
  const m2 = w.add('m2', 'holder')
  const worker = w.add('w1', 'author')
  worker.partners('managers', ['m1'])
  load(worker).set('cpu', 1)
  w.clock.advance(500)
  t.equal(load(m1).get('w1', 'cpu'), 1)
  worker.partners('managers', [])
  load(worker).set('cpu', 2)
  load(worker).set('mem', 3)
  w.clock.advance(500)
  worker.partners('managers', ['m2'])
  w.clock.advance(200)
  t.equal(load(m2).get('w1', 'cpu'), 2)
  t.equal(load(m2).get('w1', 'mem'), 3)
})

t.test('a worker that speaks of another’s rows is not heard, and none are told to it', async (t) => {
  const w = world()
  const manager = w.add('m1', 'holder', (from, owner) => !from.startsWith('w') || from === owner)
  const honest = w.add('w1', 'author')
  honest.partners('managers', ['m1'])
  load(honest).set('cpu', 1)
  w.clock.advance(500)
  // A worker whose program was changed: it holds and tells like a manager.
  const liar = w.add('w2', 'holder')
  liar.partners('managers', ['m1'])
  liar.receive('x', encodeGossip(forged('w1', 99)))
  t.equal(load(liar).get('w1', 'cpu'), 99)
  w.clock.advance(10_000)
  t.equal(load(manager).get('w1', 'cpu'), 1)
  t.equal([...load(liar).rows()].filter(({ owner }) => owner === 'm1').length, 0)
})

function forged(owner: string, value: number) {
  const row = { table: 'load', key: 'cpu', version: 50, value: Uint8Array.of(value) }
  const delta = { owner, epoch: 7, from: 0, to: 50, gc: 0, max: 50, reset: false, rows: [row] as const }
  return { type: 'deltas' as const, scope: 'managers', deltas: [delta] as const, push: true }
}

t.test(
  'watch tells what a row was and what it is now; steps between two reads are one change, and none if it came back',
  async (t) => {
    const w = world()
    const gossip = w.add('a', 'holder')
    const table = load(gossip)
    const stop = new AbortController()
    const watch = table.watch(stop.signal)
    const first = watch.next()
    table.set('k', 1)
    t.same((await first).value, [{ owner: 'a', key: 'k', prev: undefined, next: 1 }])
    table.delete('k')
    table.set('k', 2)
    table.set('other', 1)
    table.delete('other')
    t.same((await watch.next()).value, [{ owner: 'a', key: 'k', prev: 1, next: 2 }])
    const quiet = watch.next()
    table.set('k', 3)
    table.set('k', 2)
    table.set('j', 5)
    t.same((await quiet).value, [{ owner: 'a', key: 'j', prev: undefined, next: 5 }])
    const last = watch.next()
    stop.abort()
    t.equal((await last).done, true)
  },
)

t.test('rows that do not read are not shown, messages that do not decode are counted, and neither ends anything', async (t) => {
  const w = world()
  const gossip = w.add('a', 'holder')
  gossip.table('managers', 'names', string).set('k', 'text')
  const other = w.add('b', 'holder')
  other.partners('managers', ['a'])
  gossip.partners('managers', ['b'])
  w.clock.advance(500)
  const numbers = other.table('managers', 'names', natural)
  for (let look = 0; look < 3; look++) t.same([...numbers.rows()], [])
  t.equal(numbers.get('a', 'k'), undefined)
  t.equal(other.counters.unreadable, 1, 'one row, however often it is looked at')
  gossip.table('managers', 'names', string).set('k', 'other')
  w.clock.advance(500)
  t.same([...numbers.rows()], [])
  t.equal(other.counters.unreadable, 2)
  gossip.receive('b', Uint8Array.of(1, 2, 3))
  gossip.receive(
    'b',
    encodeGossip({ type: 'digest', scope: 'elsewhere', range: { of: 'all' }, answer: 'wants-answer', owners: [] }),
  )
  t.match(gossip.counters, { malformed: 1, strange: 1 })
  other.leave('managers')
  t.equal(other.counters.unreadable, 2, 'a count never falls')
})

t.test('a row has an age by the clock of whoever holds it, and a hidden owner’s rows come back as they were', async (t) => {
  const w = world()
  const [a, b] = [w.add('a', 'holder'), w.add('b', 'holder')]
  a.partners('managers', ['b'])
  b.partners('managers', ['a'])
  load(a).set('cpu', 1)
  w.clock.advance(200)
  t.equal(load(b).get('a', 'cpu'), 1)
  w.clock.advance(5_000)
  t.ok((b.ageMs('a') ?? 0) >= 5_000)
  t.equal(b.ageMs('nobody'), undefined)
  b.standing('a', 'failed')
  t.equal(load(b).get('a', 'cpu'), undefined)
  b.standing('a', 'alive')
  t.equal(load(b).get('a', 'cpu'), 1)
})

t.test(
  'what others say is read with suspicion: versions out of order, rows over their bound and wild names are refused',
  async (t) => {
    const good = forged('w1', 1)
    t.same(decodeGossip(encodeGossip(good)), good)
    const [delta] = good.deltas
    const row = delta.rows[0] as (typeof delta.rows)[0]
    for (const bad of [
      { ...delta, rows: [row, row] },
      { ...delta, to: 49 },
      { ...delta, max: 10 },
      { ...delta, from: 60 },
      { ...delta, reset: true, from: 3 },
      { ...delta, rows: [{ ...row, value: new Uint8Array(16 * 1024 + 1) }] },
      { ...delta, rows: [{ ...row, key: 'a\u0000b' }] },
    ]) {
      t.throws(() => decodeGossip(encodeGossip({ ...good, deltas: [bad] })), { code: 'ERR_SKEIN_BAD_MESSAGE' })
    }
  },
)

/** Three managers and so many workers, each linked to two of them, after all have told what they have. */
function settled(workersTotal: number): World {
  const w = world()
  const managers = ['m1', 'm2', 'm3']
  for (const id of managers) w.add(id, 'holder').partners('managers', managers)
  for (let n = 0; n < workersTotal; n++) {
    const worker = w.add(`worker00000${n}`, 'author')
    worker.partners('managers', [`m${1 + (n % 3)}`, `m${1 + ((n + 1) % 3)}`])
    load(worker).set('cpu', n)
  }
  w.clock.advance(30_000)
  return w
}

t.test(
  'while nothing changes a worker speaks every eight seconds and wakes no more often, a manager once a second',
  async (t) => {
    const w = settled(30)
    const [manager, worker] = [w.nodes.get('m1'), w.nodes.get('worker000003')] as [Gossip, Gossip]
    const before = { worker: worker.counters, manager: manager.counters, wakes: w.ticks('worker000003') }
    w.clock.advance(60_000)
    const said = worker.counters.sent - before.worker.sent
    t.ok(said >= 6 && said <= 10, `${said} messages of a worker in a minute`)
    t.equal(w.ticks('worker000003') - before.wakes, said, 'it wakes to speak, and for nothing else')
    t.ok(worker.counters.sentBytes - before.worker.sentBytes < 60 * 15, 'less than 15 bytes a second')
    const managers = manager.counters.sent - before.manager.sent
    t.ok(managers >= 45 && managers <= 80, `${managers} messages of a manager in a minute`)
    t.ok((manager.counters.sentBytes - before.manager.sentBytes) / managers < 60, 'a fingerprint each')
  },
)

t.test('what is new wakes a quiet worker at once, and makes it compare itself within two seconds', async (t) => {
  const w = settled(30)
  const worker = w.nodes.get('worker000003') as Gossip
  load(worker).set('cpu', 99)
  w.clock.advance(110)
  t.equal(load(w.nodes.get('m1') as Gossip).get('worker000003', 'cpu'), 99)
  const pushed = worker.counters.sent
  w.clock.advance(2_000)
  t.ok(worker.counters.sent - pushed >= 3, 'the second push to two managers, and a comparison')
})

t.test('what a link had no room for is told as soon as it has, however quiet it was before', async (t) => {
  const w = settled(3)
  const worker = w.nodes.get('worker000000') as Gossip
  w.cut.add('worker000000')
  load(worker).set('cpu', 99)
  w.clock.advance(30_000)
  t.equal(load(w.nodes.get('m1') as Gossip).get('worker000000', 'cpu'), 0)
  w.cut.delete('worker000000')
  w.clock.advance(150)
  t.equal(load(w.nodes.get('m1') as Gossip).get('worker000000', 'cpu'), 99)
})
