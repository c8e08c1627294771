/** How news goes round: in one wave, whatever else is going round, with a bound, and once more to whom it missed. */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import { origin } from '../../../lib/overlay/swim/coordinate.js'
import {
  type Effect,
  type MemberRecord,
  type Packet,
  Roster,
  resolveSwimOptions,
  SwimCore,
  type SwimMessage,
} from '../../../lib/overlay/swim/index.js'
import { broadcast, detectDeath, OverlaySim, restartOne } from '../../../lib/sim/overlay/index.js'

const seeds = Array.from({ length: 10 }, (_, index) => index + 1)
const options = resolveSwimOptions()

function nodeId(number: number): NodeId {
  return number.toString(36).padStart(12, '0') as NodeId
}

function record(number: number, change: Partial<MemberRecord> = {}): MemberRecord {
  const profile = { version: 1, address: `h${number}:1`, lanes: 'both', meta: new Uint8Array() } as const
  return { id: nodeId(number), epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [], ...change }
}

/** Member 1 of `members`, already running. */
function startedCore(members: number): SwimCore {
  const roster = new Roster(Array.from({ length: members }, (_, index) => record(index + 1)))
  const core = new SwimCore({ id: nodeId(1), epoch: 1, address: 'h1:1', options, random: seededRandom(1), roster })
  core.start(0)
  return core
}

function packet(from: number, message: SwimMessage, records: readonly MemberRecord[] = []): Packet {
  return { to: nodeId(1), from: nodeId(from), epoch: 1, incarnation: 1, message, records }
}

/** Lets its timers run until `untilMs`, and everybody answers its pings; returns what it did, each with its time. */
function elapse(core: SwimCore, untilMs: number): { readonly atMs: number; readonly effect: Effect }[] {
  const done: { atMs: number; effect: Effect }[] = []
  while (core.wakeAtMs <= untilMs) {
    const atMs = core.wakeAtMs
    const effects = core.tick(atMs)
    for (const effect of effects) {
      done.push({ atMs, effect })
      if (effect.type !== 'send' || effect.packet.message.type !== 'ping') continue
      const { to, message } = effect.packet
      const ack: SwimMessage = { type: 'ack', seq: message.seq, digest: core.digest, coordinate: origin }
      core.receive(atMs, { to: nodeId(1), from: to, epoch: 1, incarnation: 1, message: ack, records: [] }, 'datagram')
    }
  }
  return done
}

function sent(effects: readonly Effect[], type: SwimMessage['type']): Packet[] {
  return effects.flatMap((effect) => (effect.type === 'send' && effect.packet.message.type === type ? [effect.packet] : []))
}

t.test('while no packet is lost the first wave reaches everyone: no seed takes much longer than another', async (t) => {
  for (const members of [30, 100, 300]) {
    const news = seeds.map((seed) => broadcast({ members, seed }).allMs ?? Number.POSITIVE_INFINITY)
    t.ok(Math.max(...news) <= 100, `${members}: news known to all after ${news.join(', ')} ms`)
    const deaths = seeds.slice(0, 5).map((seed) => detectDeath({ members, seed }, 'process'))
    const spread = deaths.map(({ firstMs = 0, allMs = Number.POSITIVE_INFINITY }) => allMs - firstMs)
    t.ok(
      Math.max(...spread) <= 100,
      `${members}: a death that one knows of is known to all after ${spread.map(Math.round).join(', ')} ms`,
    )
  }
})

t.test('news does not wait for the round of the news before it', async (t) => {
  // Its death has just gone round when the process is there again.
  const took = seeds.map((seed) => restartOne({ members: 100, seed }) ?? Number.POSITIVE_INFINITY)
  t.ok(Math.max(...took) <= 100, `taken by all after ${took.join(', ')} ms`)
})

t.test('a member that has news two hundred times a second does not make packets of all of it', async (t) => {
  const sim = new OverlaySim({ members: 30, seed: 1 })
  sim.run(1000)
  const before = sim.sent.packets
  for (let at = 0; at < 1000; at++)
    sim.after(at * 5, () => sim.command(0, (core, nowMs) => core.update(nowMs, { meta: Buffer.from(`${at}`) })))
  sim.run(5000)
  const packetsPerSecond = (sim.sent.packets - before) / 30 / 5
  t.ok(packetsPerSecond > 15, `the rounds go on: ${packetsPerSecond} packets a second from each`)
  t.ok(packetsPerSecond < 50, `and no faster than their bound: ${packetsPerSecond} packets a second from each`)
  const took = sim.runUntil(() => sim.isConverged, 2000)
  t.ok(took !== undefined, 'all know the last of it')
})

t.test('whoever shows that it missed the last news is told at once, and only what still holds', async (t) => {
  const core = startedCore(5)
  core.receive(10, packet(2, { type: 'gossip' }, [record(3, { state: 'left', incarnation: 2, profile: undefined })]), 'datagram')
  core.receive(
    20,
    packet(2, { type: 'gossip' }, [
      record(4, {
        state: 'dead',
        accusations: [
          { by: nodeId(2), saw: 'silent' },
          { by: nodeId(5), saw: 'silent' },
        ],
      }),
    ]),
    'datagram',
  )
  elapse(core, 4000)
  t.equal(core.load.rumours, 0, 'all was told')
  const ping = (digest: number): SwimMessage => ({ type: 'ping', seq: 1, digest })
  t.strictSame(sent(core.receive(4001, packet(2, ping(core.digest)), 'datagram'), 'gossip'), [], 'who knows all is told nothing')
  const [reminder] = sent(core.receive(4002, packet(5, ping(core.digest ^ 1)), 'datagram'), 'gossip')
  t.equal(reminder?.to, nodeId(5))
  t.strictSame(
    reminder?.records.map(({ id, state }) => [id, state]),
    [
      [nodeId(4), 'dead'],
      [nodeId(3), 'left'],
    ],
  )
  core.receive(4003, packet(4, { type: 'gossip' }, [record(4, { incarnation: 2 })]), 'datagram')
  elapse(core, 9000)
  const [later] = sent(core.receive(9001, packet(5, ping(core.digest ^ 1)), 'datagram'), 'gossip')
  t.strictSame(
    later?.records.map(({ id, state }) => [id, state]),
    [
      [nodeId(4), 'alive'],
      [nodeId(3), 'left'],
    ],
    'the dead one came back',
  )
})

t.test('a stranger is asked once for what it says of itself, however many packets it sends meanwhile', async (t) => {
  const core = startedCore(5)
  const asked = (atMs: number): number => sent(core.receive(atMs, packet(9, { type: 'gossip' }), 'datagram'), 'pull').length
  t.strictSame([10, 11, 50, 159].map(asked), [1, 0, 0, 0])
  t.equal(asked(161), 1, 'the answer did not come')
  core.receive(162, packet(9, { type: 'share' }, [record(9)]), 'datagram')
  t.equal(asked(400), 0, 'it is no stranger any more')
})

t.test('a suspicion ends to the millisecond, however far off its end was and however it moved', async (t) => {
  const suspected = (by: readonly number[]): MemberRecord =>
    record(50, {
      state: 'suspect',
      profile: undefined,
      accusations: by.map((each) => ({ by: nodeId(each), saw: 'silent' as const })),
    })
  const diedAt = (core: SwimCore, untilMs: number): number | undefined =>
    elapse(core, untilMs).find(({ effect }) => effect.type === 'event' && effect.event.type === 'failed')?.atMs
  const hears = (core: SwimCore, atMs: number, by: readonly number[]): void => {
    elapse(core, atMs)
    core.receive(atMs, packet(by[0] as number, { type: 'gossip' }, [suspected(by)]), 'datagram')
  }
  const alone = startedCore(100)
  hears(alone, 1000, [2])
  const aloneMs = diedAt(alone, 40_000) ?? 0
  t.ok(aloneMs >= 25_000 && aloneMs <= 25_001, `one accuser: the longest, ${aloneMs}`)
  const later = startedCore(100)
  hears(later, 1000, [2])
  hears(later, 6000, [3])
  const laterMs = diedAt(later, 40_000) ?? 0
  t.ok(laterMs >= 15_000 && laterMs <= 15_001, `a confirmation after five seconds: ${laterMs}`)
  const late = startedCore(100)
  hears(late, 1000, [2, 3, 4, 5])
  elapse(late, 3000)
  late.tick(late.wakeAtMs + 7000)
  const lateMs = diedAt(late, 40_000) ?? 0
  t.ok(lateMs >= 12_000 && lateMs <= 12_300, `four seconds of our own time, without the seven in which we stood still: ${lateMs}`)
})
