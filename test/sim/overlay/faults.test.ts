/** Each trouble the simulator of members can make is the one it is called: else every test that stands on it proves something else. */
import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import type { Packet } from '../../../lib/overlay/swim/index.js'
import { calm, OverlayNetwork, OverlaySim } from '../../../lib/sim/overlay/index.js'

const networkWith = (conditions: Partial<typeof calm>, seed = 1): OverlayNetwork =>
  new OverlayNetwork({ ...calm, ...conditions }, seededRandom(seed))
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

interface Call {
  readonly what: 'tick' | 'receive'
  readonly atMs: number
  readonly from: number
}

/** What one member's core is given from now on: its timers and its packets, in order. */
function callsOf(sim: OverlaySim, index: number): Call[] {
  const calls: Call[] = []
  const core = sim.core(index)
  const [tick, receive] = [core.tick.bind(core), core.receive.bind(core)]
  core.tick = (nowMs) => {
    calls.push({ what: 'tick', atMs: nowMs, from: index })
    return tick(nowMs)
  }
  core.receive = (nowMs, packet: Packet, lane) => {
    calls.push({ what: 'receive', atMs: nowMs, from: sim.indexOf(packet.from) })
    return receive(nowMs, packet, lane)
  }
  return calls
}

/** What others say they saw of a member, when first anybody suspects it. */
function firstTestimony(sim: OverlaySim, subject: number): { readonly saw: Set<string>; readonly atMs: () => number } {
  const [saw, at] = [new Set<string>(), { ms: Number.POSITIVE_INFINITY }]
  sim.watch(({ event, subject: about, atMs }) => {
    if (about !== subject) return
    for (const accusation of event.member.accusations) {
      at.ms = Math.min(at.ms, atMs)
      saw.add(accusation.saw)
    }
  })
  return { saw, atMs: () => at.ms }
}

t.test('latency: every packet takes a time within the bounds, and not always the same', async (t) => {
  const network = networkWith({ latencyMinMs: 20, latencyMaxMs: 30 })
  const delays = times(1_000, () => network.datagram(0, 1)).flat()
  t.equal(delays.length, 1_000)
  t.ok(delays.every((delay) => delay >= 20 && delay <= 30))
  t.ok(Math.max(...delays) - Math.min(...delays) > 8)
})

t.test('loss: datagrams go with the chance that was given; on a link the same loss costs time and nothing else', async (t) => {
  const network = networkWith({ lossRate: 0.2 })
  const lost = times(10_000, () => network.datagram(0, 1)).filter((copies) => copies.length === 0).length
  t.ok(Math.abs(lost - 2_000) < 150, `${lost} of 10,000`)
  const delays = times(10_000, () => network.segment())
  const late = delays.filter((delay) => delay > 200).length
  t.ok(Math.abs(late - 2_000) < 150, `${late} of 10,000 are sent again`)
  t.ok(delays.every(Number.isFinite))
})

t.test('duplicates, and the overtaking that comes of different delays: a group bears both', async (t) => {
  const twice = times(10_000, () => networkWith({ duplicateRate: 0.3 }, 2).datagram(0, 1))
  t.ok(twice.every((copies) => copies.length >= 1))
  const sim = new OverlaySim({ members: 12, seed: 3, conditions: { duplicateRate: 0.3, latencyMinMs: 1, latencyMaxMs: 80 } })
  const network = networkWith({ duplicateRate: 0.3 })
  const doubled = times(10_000, () => network.datagram(0, 1)).filter((copies) => copies.length === 2).length
  t.ok(Math.abs(doubled - 3_000) < 200, `${doubled} of 10,000`)
  const gone: string[] = []
  sim.watch(({ event }) => {
    if (event.type === 'failed' || event.type === 'left') gone.push(event.type)
  })
  sim.run(60_000)
  t.strictSame(gone, [])
  t.ok(sim.isConverged)
})

t.test('a one-way cut: nothing comes the one way, and the other is open', async (t) => {
  const sim = new OverlaySim({ members: 5, seed: 4 })
  sim.run(2_000)
  sim.network.cut(0, 1)
  sim.run(100) // what is on its way arrives
  const [deaf, heard] = [callsOf(sim, 1), callsOf(sim, 0)]
  sim.run(30_000)
  t.notOk(deaf.some(({ what, from }) => what === 'receive' && from === 0))
  t.ok(heard.some(({ what, from }) => what === 'receive' && from === 1))
  sim.network.heal()
  sim.run(30_000)
  t.ok(
    deaf.some(({ what, from }) => what === 'receive' && from === 0),
    'and after it all is as before',
  )
})

t.test(
  'resets: a process that is killed ends its links, and its machine refuses; one that loses power is only silent',
  async (t) => {
    for (const [how, saw, isAtOnce] of [
      ['kill', 'refused', true],
      ['powerOff', 'silent', false],
    ] as const) {
      const sim = new OverlaySim({ members: 10, seed: 5 })
      sim.run(2_000)
      const startMs = sim.nowMs
      const testimony = firstTestimony(sim, 3)
      sim[how](3)
      t.equal(sim.phase(3), how === 'kill' ? 'down' : 'gone')
      sim.run(30_000)
      t.strictSame([...testimony.saw], [saw], how)
      t.equal(testimony.atMs() - startMs < 50, isAtOnce, `${how}: first missed after ${testimony.atMs() - startMs} ms`)
    }
  },
)

t.test('a reset does not cross a cut: there the links end in silence, later', async (t) => {
  const sim = new OverlaySim({ members: 4, seed: 6 })
  sim.run(2_000)
  const testimony = firstTestimony(sim, 3)
  sim.network.split(new Map([[3, 1]]))
  sim.kill(3)
  sim.run(30_000)
  t.strictSame([...testimony.saw], ['silent'])
})

t.test('refused against silent: a firewall answers for a member at once, a cut not at all', async (t) => {
  const network = networkWith({})
  network.reject(0, 1)
  t.ok((network.connection(0, 1, 500) ?? 1e9) < 5, 'an answer, if not a good one')
  t.ok(network.isRejecting(0, 1))
  t.notOk(network.isRejecting(1, 0))
  network.heal()
  t.notOk(network.isRejecting(0, 1))
  network.cut(1, 0)
  t.equal(network.connection(0, 1, 10_000), undefined, 'its answer is lost, so there is none')
  network.heal()
  t.ok((network.connection(0, 1, 500) ?? 1e9) < 5)
})

t.test('a pause: nothing runs, packets wait, and then timers run before they are read', async (t) => {
  const sim = new OverlaySim({ members: 8, seed: 7 })
  sim.run(2_000)
  const calls = callsOf(sim, 2)
  const startMs = sim.nowMs
  sim.pause(2, 5_000)
  t.ok(sim.isPaused(2))
  sim.run(4_990)
  t.strictSame(calls, [], 'it stands still')
  sim.run(20)
  const first = calls.filter(({ atMs }) => atMs === startMs + 5_000)
  const reads = first.filter(({ what }) => what === 'receive').length
  t.equal(first[0]?.what, 'tick', 'timers first')
  t.ok(reads > 5, `then the ${reads} packets that waited`)
  t.notOk(sim.isPaused(2))
})

t.test('slow processing: one packet at a time, and timers wait while it is read', async (t) => {
  const sim = new OverlaySim({ members: 8, seed: 8 })
  sim.run(2_000)
  const calls = callsOf(sim, 2)
  /** Milliseconds between the packets of one moment, as member 2 reads them. */
  const burst = (): number[] => {
    calls.length = 0
    for (const index of [0, 1, 3, 4, 5]) sim.command(index, (core, nowMs) => core.join(nowMs, [sim.idOf(2)]))
    sim.run(1_000)
    const reads = calls.flatMap(({ what, atMs }) => (what === 'receive' ? [atMs] : []))
    return reads.slice(1, 5).map((atMs, at) => atMs - (reads[at] ?? 0))
  }
  t.ok(
    burst().every((gap) => gap < 2),
    'at once',
  )
  sim.slow(2, [50, 100])
  const gaps = burst()
  t.ok(
    gaps.every((gap) => gap >= 50 && gap <= 100),
    `${gaps.join()} ms apart`,
  )
  const reads = calls.filter(({ what }) => what === 'receive').map(({ atMs }) => atMs)
  const isBusyAt = (atMs: number): boolean => atMs > (reads[0] ?? 0) - 50 && atMs < (reads[4] ?? 0) && !reads.includes(atMs)
  t.notOk(calls.some(({ what, atMs }) => what === 'tick' && isBusyAt(atMs)))
  sim.slow(2, undefined)
  t.ok(
    burst().every((gap) => gap < 2),
    'as before',
  )
})

t.test('a local fault: nothing leaves the member, and it can tell that the fault is its own', async (t) => {
  const sim = new OverlaySim({ members: 6, seed: 9 })
  sim.run(2_000)
  sim.setLocalFault(0, true)
  sim.run(100)
  const others = [1, 2, 3, 4, 5].map((index) => callsOf(sim, index))
  sim.run(20_000)
  t.notOk(others.flat().some(({ what, from }) => what === 'receive' && from === 0))
})

t.test('10,000 members: one whose process dies is found out in half a second, and news of it go round', async (t) => {
  const sim = new OverlaySim({ members: 10_000, seed: 1 })
  sim.run(50)
  const aware = new Set<number>()
  sim.watch(({ event, subject, observer }) => {
    if (event.type === 'failed' && subject === 7) aware.add(observer)
  })
  sim.kill(7)
  t.ok(sim.runUntil(() => aware.size >= 100, 500) !== undefined, `${aware.size} know`)
})
