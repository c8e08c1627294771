/**
 * What went wrong in other people's clusters, each as a group in the simulator. Numbers are those of the trackers where it was reported.
 */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type Effect,
  type MemberRecord,
  type Packet,
  packetBytes,
  Roster,
  resolveSwimOptions,
  SwimCore,
  type SwimEvent,
} from '../../../lib/overlay/swim/index.js'
import { keepPeace, OverlaySim, pauseInTurns } from '../../../lib/sim/overlay/index.js'

/** What everyone says of everyone while `run` runs. */
function newsOf(sim: OverlaySim, run: () => void): { type: SwimEvent['type']; observer: number; subject: number }[] {
  const news: { type: SwimEvent['type']; observer: number; subject: number }[] = []
  sim.watch(({ event, observer, subject }) => news.push({ type: event.type, observer, subject }))
  run()
  return news
}

function others(sim: OverlaySim, index: number): number[] {
  return sim.live().filter((each) => each !== index)
}

t.test('moby#26946, consul#19965: a member whose datagrams are filtered stays alive, says so, and takes it back', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 1 })
  sim.filterDatagrams(4)
  const news = newsOf(sim, () => sim.run(60_000))
  t.equal(news.filter(({ type }) => type === 'failed').length, 0)
  t.equal(sim.core(4).hereCount, 20)
  const seen = (index: number) => sim.core(index).member(sim.idOf(4))
  t.ok(others(sim, 4).every((index) => seen(index)?.state === 'alive' && seen(index)?.lanes === 'stream'))
  sim.filterDatagrams(4, 'off')
  t.ok(sim.runUntil(() => others(sim, 4).every((index) => seen(index)?.lanes === 'both'), 60_000))
})

t.test('moby#26946: where no datagram passes at all, members watch over links and a death is still found', async (t) => {
  const sim = new OverlaySim({ members: 30, seed: 2, swim: { lanes: 'stream' } })
  const peace = newsOf(sim, () => sim.run(30_000))
  t.strictSame(peace, [], 'nobody says anything')
  sim.kill(7)
  const tookMs = sim.runUntil(
    () => others(sim, 7).every((index) => sim.core(index).member(sim.idOf(7))?.state === 'dead'),
    30_000,
  )
  t.ok(tookMs !== undefined && tookMs < 2000, `known to all after ${tookMs} ms`)
  sim.powerOff(9)
  const silentMs = sim.runUntil(
    () => others(sim, 9).every((index) => sim.core(index).member(sim.idOf(9))?.state === 'dead'),
    30_000,
  )
  t.ok(silentMs !== undefined, 'also one whose machine is silent')
})

t.test('consul#5928: one who hears nobody accuses everybody, and nobody dies of it', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 3 })
  for (const index of others(sim, 6)) sim.network.cut(index, 6)
  const news = newsOf(sim, () => sim.run(60_000))
  const deaths = news.filter(({ type, observer, subject }) => type === 'failed' && observer !== 6 && subject !== 6)
  t.strictSame(deaths, [], 'nobody else believes it')
  t.ok(sim.core(6).healthScore > 0, 'it knows that it may be the one')
})

t.test('consul#1212, serf#269, scylla#5677: a member that reads slowly is not declared dead, and declares nobody', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 4 })
  sim.slow(3, [20, 150])
  const news = newsOf(sim, () => sim.run(60_000))
  t.strictSame(
    news.filter(({ type }) => type === 'failed'),
    [],
  )
})

t.test('T10: whoever stands still itself, for two to twenty seconds, accuses nobody when it goes on', async (t) => {
  for (const pausedMs of [2000, 7000, 20_000]) {
    const sim = new OverlaySim({ members: 12, seed: 5 + pausedMs })
    sim.run(2000)
    const news = newsOf(sim, () => {
      sim.pause(2, pausedMs)
      sim.run(pausedMs + 10_000)
    })
    const accused = news.filter(({ type, observer, subject }) => observer === 2 && subject !== 2 && type !== 'updated')
    t.strictSame(accused, [], `after ${pausedMs} ms`)
    t.strictSame(
      news.filter(({ type }) => type === 'failed'),
      [],
    )
    t.ok(others(sim, 2).every((index) => sim.core(index).member(sim.idOf(2))?.state === 'alive'))
  }
})

t.test(
  'who stood still between a ping and asking others for help gives them the time that is left, and that is some',
  async (t) => {
    const options = resolveSwimOptions()
    const ids = ['self00000000', 'one000000000', 'two000000000', 'three0000000'] as NodeId[]
    const records = ids.map((id): MemberRecord => {
      const profile = { version: 1, address: `${id}:1`, lanes: 'both' as const, meta: new Uint8Array() }
      return { id, epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
    })
    const [self] = ids as [NodeId]
    const core = new SwimCore({
      id: self,
      epoch: 1,
      address: 'self:1',
      options,
      random: seededRandom(1),
      roster: new Roster(records),
    })
    core.start(0)
    const sent = (effects: readonly Effect[]): Packet['message'][] =>
      effects.flatMap((effect) => (effect.type === 'send' ? [effect.packet.message] : []))
    // Nobody ever answers. Up to its first ping it is on time, then it stands still for far longer than a probe lasts.
    while (!sent(core.tick(core.wakeAtMs)).some(({ type }) => type === 'ping'));
    core.tick(core.wakeAtMs + 20_000)
    let asked: Packet['message'][] = []
    while (asked.length === 0) asked = sent(core.tick(core.wakeAtMs)).filter(({ type }) => type === 'ping-req')
    for (const message of asked)
      t.ok(message.type === 'ping-req' && message.remainingMs > 0 && message.remainingMs <= 1000, JSON.stringify(message))
  },
)

t.test('a stopped process is degraded for others within seconds, and alive again when it goes on', async (t) => {
  const sim = new OverlaySim({ members: 10, seed: 6 })
  sim.run(2000)
  sim.pause(1, 12_000)
  const isSeenAs = (state: string): boolean =>
    others(sim, 1).every((index) => sim.core(index).member(sim.idOf(1))?.state === state)
  t.ok(
    sim.runUntil(() => isSeenAs('degraded'), 6000),
    'degraded',
  )
  t.ok(
    sim.runUntil(() => isSeenAs('alive'), 12_000),
    'alive',
  )
})

t.test('a process that is stopped for longer than is tolerated is dead in the end', async (t) => {
  const sim = new OverlaySim({ members: 10, seed: 7, swim: { pauseToleranceMs: 5000 } })
  sim.run(2000)
  sim.pause(1, 60_000)
  const tookMs = sim.runUntil(
    () => others(sim, 1).every((index) => sim.core(index).member(sim.idOf(1))?.state === 'dead'),
    30_000,
  )
  t.ok(tookMs !== undefined && tookMs > 5000, `after ${tookMs} ms`)
})

t.test('moby#36311: four seconds without any network of one member are over two seconds after they end', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const sim = new OverlaySim({ members: 100, seed })
    sim.run(2000)
    const news = newsOf(sim, () => {
      sim.network.split(new Map([[4, 1]]))
      sim.run(4000)
      sim.network.heal()
      sim.run(10_000)
    })
    t.strictSame(
      news.filter(({ type, observer }) => type === 'failed' && observer !== 4),
      [],
      `seed ${seed}`,
    )
    t.ok(sim.isConverged)
    const small = new OverlaySim({ members: 3, seed })
    small.run(2000)
    small.network.split(new Map([[2, 1]]))
    small.run(4000)
    small.network.heal()
    const tookMs = small.runUntil(() => small.isConverged, 10_000)
    t.ok(tookMs !== undefined && tookMs <= 2000, `three members: after ${tookMs} ms`)
  }
})

t.test(
  'alertmanager#1909: of two members, each has only its own word; a lost machine is found out, loss alone kills nobody',
  async (t) => {
    const peace = keepPeace({ members: 2, seed: 8, conditions: { lossRate: 0.2 } }, 600_000)
    t.equal(peace.falseDead, 0)
    const sim = new OverlaySim({ members: 2, seed: 9 })
    sim.run(2000)
    sim.powerOff(1)
    const silentMs = sim.runUntil(() => sim.core(0).member(sim.idOf(1))?.state === 'dead', 20_000)
    t.ok(silentMs !== undefined && silentMs > 4000, `silent: after ${silentMs} ms`)
    const crash = new OverlaySim({ members: 2, seed: 9 })
    crash.run(2000)
    crash.kill(1)
    const refusedMs = crash.runUntil(() => crash.core(0).member(crash.idOf(1))?.state === 'dead', 20_000)
    t.ok(refusedMs !== undefined && refusedMs <= 2000, `refused: after ${refusedMs} ms`)
  },
)

t.test('serf#627: a member whose own network fails accuses nobody', async (t) => {
  const sim = new OverlaySim({ members: 10, seed: 10 })
  sim.run(2000)
  const news = newsOf(sim, () => {
    sim.setLocalFault(0, true)
    sim.run(20_000)
    sim.setLocalFault(0, false)
    sim.run(60_000)
  })
  t.strictSame(
    news.filter(({ observer, subject, type }) => observer === 0 && subject !== 0 && type === 'failed'),
    [],
  )
  t.ok(sim.isConverged, 'all are together again')
})

t.test('one firewall that answers "refused" for a living member does not kill it', async (t) => {
  const sim = new OverlaySim({ members: 12, seed: 11 })
  sim.network.reject(2, 5)
  sim.network.cut(2, 5)
  sim.network.cut(5, 2)
  const news = newsOf(sim, () => {
    sim.command(2, (core, nowMs) => core.evidence(nowMs, sim.idOf(5), 'reset'))
    sim.run(60_000)
  })
  t.strictSame(
    news.filter(({ type }) => type === 'failed'),
    [],
  )
})

t.test('serf#78: rumours do not pile up where there is nobody to tell', async (t) => {
  const sim = new OverlaySim({ members: 1, seed: 12 })
  for (let round = 0; round < 50; round++) {
    sim.command(0, (core, nowMs) => core.update(nowMs, { meta: Buffer.from(String(round)) }))
    sim.run(500)
  }
  t.equal(sim.core(0).load.rumours, 0)
})

t.test(
  'consul#8435, serf#606: a leave reaches all in a second, is told a bounded number of times, and is not a failure',
  async (t) => {
    const sim = new OverlaySim({ members: 100, seed: 13 })
    sim.run(2000)
    const before = sim.sent.packets
    const news = newsOf(sim, () => {
      sim.command(3, (core, nowMs) => core.leave(nowMs))
      sim.run(1000)
      t.ok(others(sim, 3).every((index) => sim.core(index).member(sim.idOf(3))?.state === 'left'))
      sim.kill(3)
      sim.run(10_000)
    })
    t.equal(news.filter(({ type, subject }) => type === 'left' && subject === 3).length, 99)
    t.equal(news.filter(({ type }) => type === 'failed').length, 0)
    t.ok(sim.sent.packets - before < 100 * (11 * 4 + 40), 'no storm')
  },
)

t.test('consul#4879, memberlist#157: another process at a reused address is not taken for the one before', async (t) => {
  const core = (id: string): SwimCore =>
    new SwimCore({ id: id as NodeId, epoch: 1, address: 'a:1', options: resolveSwimOptions(), random: seededRandom(1) })
  const [old, heir, asker] = [core('old000000000'), core('heir00000000'), core('asker0000000')]
  for (const each of [old, heir, asker]) each.start(0)
  const ping = {
    to: old.id,
    from: asker.id,
    epoch: 1,
    incarnation: 1,
    message: { type: 'ping', seq: 1, digest: 0 },
    records: [],
  } as const
  t.strictSame(heir.receive(1, ping, 'datagram'), [], 'it does not answer for another')
  t.ok(old.receive(1, ping, 'datagram').length > 0)
})

t.test('memberlist#311, libnetwork#2256: all members restart at once and are one group again', async (t) => {
  const sim = new OverlaySim({ members: 40, seed: 14 })
  sim.run(3000)
  for (const index of sim.live()) sim.kill(index)
  sim.run(2000)
  for (let index = 0; index < 40; index++) sim.after(index * 20, () => sim.restart(index))
  t.ok(sim.runUntil(() => sim.nowMs > 6000 && sim.isConverged, 20_000))
  t.ok(
    sim.live().every((index) =>
      sim
        .core(index)
        .members()
        .every(({ epoch }) => epoch === 2),
    ),
  )
})

t.test('probes of a process that was gone accuse nobody of the one that was started in its place', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const sim = new OverlaySim({ members: 30, seed })
    sim.run(2500)
    sim.kill(15)
    sim.run(200)
    sim.restart(15)
    const accused: string[] = []
    sim.watch(({ event: { type, member }, subject }) => {
      if (type === 'suspect' && subject === 15 && member.epoch === 2) accused.push(member.accusations.map(({ by }) => by).join())
    })
    sim.run(5000)
    t.strictSame(accused, [], `seed ${seed}`)
  }
})

t.test('moby#47728: a rolling restart of all leaves one view of everyone', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 15 })
  sim.run(2000)
  for (let index = 0; index < 20; index++) {
    sim.restart(index)
    sim.run(300)
  }
  t.ok(sim.runUntil(() => sim.isConverged, 10_000))
})

t.test('piko#314, consul#21633: the dead stay dead, whoever still remembers them', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 16 })
  sim.run(2000)
  // One member is away while another dies, and comes back with the old picture.
  sim.network.split(new Map([[9, 1]]))
  sim.kill(4)
  sim.run(25_000)
  sim.network.heal()
  const news = newsOf(sim, () => sim.run(30_000))
  t.strictSame(
    news.filter(({ type, subject }) => subject === 4 && (type === 'joined' || type === 'alive')),
    [],
    'nobody sees a ghost',
  )
  t.ok(sim.isConverged)
})

t.test('a member that was removed for good is refused, whatever it and others say', async (t) => {
  const sim = new OverlaySim({ members: 8, seed: 17 })
  sim.run(2000)
  const gone = sim.idOf(3)
  for (const index of others(sim, 3)) sim.command(index, (core, nowMs) => core.remove(nowMs, [gone]))
  sim.run(10_000)
  t.ok(others(sim, 3).every((index) => sim.core(index).member(gone) === undefined))
})

t.test('consul#924, serf#333: after a restart the failed are still looked for', async (t) => {
  const sim = new OverlaySim({ members: 6, seed: 18 })
  sim.run(2000)
  sim.powerOff(5)
  sim.run(15_000)
  for (let index = 0; index < 5; index++) sim.restart(index)
  sim.run(5000)
  t.equal(sim.core(0).member(sim.idOf(5))?.state, 'dead')
  sim.restart(5)
  t.ok(
    sim.runUntil(() => sim.isConverged, 10_000),
    'and taken back when they come',
  )
})

t.test('PR#53715, libnetwork#2134: halves that were apart for ten minutes are one again', async (t) => {
  const sim = new OverlaySim({ members: 20, seed: 19 })
  sim.run(2000)
  sim.network.split(new Map(Array.from({ length: 20 }, (_, index) => [index, index % 2])))
  sim.run(600_000)
  t.equal(sim.core(0).hereCount, 10, 'each half knows only itself')
  sim.network.heal()
  const tookMs = sim.runUntil(() => sim.isConverged, 20_000)
  t.ok(tookMs !== undefined && tookMs <= 10_000, `after ${tookMs} ms`)
})

t.test('scylla#16410: across a continent (150 ± 20 ms, 2 % loss) nobody flaps', async (t) => {
  const conditions = { latencyMinMs: 65, latencyMaxMs: 85, lossRate: 0.02 }
  const peace = keepPeace({ members: 30, seed: 20, conditions }, 300_000)
  t.equal(peace.falseDead, 0)
  t.equal(peace.suspicions, 0)
})

t.test('neo4j#5667: who is dead or suspect itself accuses nobody', async (t) => {
  const sim = new OverlaySim({ members: 8, seed: 21 })
  sim.run(2000)
  for (const index of [1, 2, 3]) sim.powerOff(index)
  sim.run(30_000)
  const accused = sim.core(0).record(sim.idOf(6))
  const accusations = [1, 2, 3].map((index) => ({ by: sim.idOf(index), saw: 'refused' }) as const)
  const news = newsOf(sim, () => {
    for (const index of others(sim, 6)) {
      const packet = {
        to: sim.idOf(index),
        from: sim.idOf(index === 7 ? 0 : 7),
        epoch: 1,
        incarnation: 1,
        message: { type: 'gossip' } as const,
        records: [{ ...accused, state: 'dead', accusations, profile: undefined } as never],
      }
      sim.command(index, (core, nowMs) => core.receive(nowMs, packet, 'datagram'))
    }
    sim.run(20_000)
  })
  t.strictSame(
    news.filter(({ type, subject }) => type === 'failed' && subject === 6),
    [],
  )
})

t.test('a laptop that slept for an hour comes back as a new incarnation and accuses nobody', async (t) => {
  const sim = new OverlaySim({ members: 10, seed: 22 })
  sim.run(2000)
  const before = sim.core(0).member(sim.idOf(0))?.incarnation ?? 0
  sim.pause(0, 3_600_000)
  sim.run(3_600_000 - 1)
  t.equal(sim.core(1).member(sim.idOf(0))?.state, 'dead')
  const news = newsOf(sim, () => {
    sim.run(1)
    sim.command(0, (core, nowMs) => core.woke(nowMs))
    sim.run(10_000)
  })
  t.strictSame(
    news.filter(({ observer, type }) => observer === 0 && (type === 'failed' || type === 'suspect')),
    [],
  )
  t.ok((sim.core(0).member(sim.idOf(0))?.incarnation ?? 0) > before)
  t.ok(sim.isConverged)
})

t.test('whoever wakes while it suspects a member begins that suspicion anew, once, and comes to the same end', async (t) => {
  const sim = new OverlaySim({ members: 5, seed: 25 })
  sim.run(2000)
  for (const index of [0, 1, 2, 3]) sim.network.cut(4, index) // silent to all, so that it is suspected for a while
  for (let waitedMs = 0; sim.core(0).member(sim.idOf(4))?.state !== 'suspect'; waitedMs += 50) {
    if (waitedMs > 30_000) throw new Error('it was never suspected')
    sim.run(50)
  }
  sim.command(0, (core, nowMs) => core.woke(nowMs))
  t.equal(sim.core(0).member(sim.idOf(4))?.state, 'suspect')
  sim.run(60_000)
  t.equal(sim.core(0).member(sim.idOf(4))?.state, 'dead')
})

t.test('a process that comes and goes is degraded for others while it does', async (t) => {
  const sim = new OverlaySim({ members: 6, seed: 23 })
  sim.run(2000)
  for (let round = 0; round < 6; round++) {
    sim.kill(2)
    sim.run(2000)
    sim.restart(2)
    sim.run(2000)
  }
  t.equal(sim.core(0).member(sim.idOf(2))?.state, 'degraded')
  sim.run(180_000)
  t.equal(sim.core(0).member(sim.idOf(2))?.state, 'alive')
})

t.test(
  'two processes under one id: the one that was started first says so and claims a later start; the links sort it out',
  async (t) => {
    const sim = new OverlaySim({ members: 5, seed: 24 })
    sim.run(2000)
    const packet = {
      to: sim.idOf(1),
      from: sim.idOf(0),
      epoch: 1,
      incarnation: 1,
      message: { type: 'gossip' } as const,
      records: [{ ...sim.core(0).record(sim.idOf(1)), epoch: 2 } as never],
    }
    const effects = sim.core(1).receive(sim.nowMs, packet, 'datagram')
    t.match(effects, [{ type: 'outbid', epoch: 2 }])
    t.match(sim.core(1).member(sim.idOf(1)), { state: 'alive', epoch: 3 })
  },
)

t.test('T9: members that stop for up to 25 s, over and over, are never declared dead', async (t) => {
  for (const [members, count] of [
    [3, 1],
    [64, 8],
  ] as const) {
    for (const pausedMs of [8000, 25_000]) {
      const peace = keepPeace({ members, seed: 25 }, 60_000, pauseInTurns(count, pausedMs, 500))
      t.equal(peace.falseDead, 0, `${count} of ${members}, ${pausedMs} ms`)
    }
  }
})

/** One member that knows 2,999 others, none of which is there. */
function crowd(): { readonly core: SwimCore; readonly idAt: (at: number) => NodeId } {
  const idAt = (at: number): NodeId => `m${String(at).padStart(11, '0')}` as NodeId
  const records = Array.from({ length: 3_000 }, (_, at): MemberRecord => {
    const profile = { version: 1, address: `10.0.${at >> 8}.${at & 255}:7946`, lanes: 'both', meta: new Uint8Array(0) } as const
    return { id: idAt(at), epoch: 1, incarnation: 1, state: 'alive', profileVersion: 1, profile, accusations: [] }
  })
  const [options, random, roster] = [resolveSwimOptions(), seededRandom(26), new Roster(records)]
  return { core: new SwimCore({ id: idAt(0), epoch: 1, address: '10.0.0.0:7946', options, random, roster }), idAt }
}

t.test(
  'memberlist#158: 3,000 members that ask for everything at once are answered by and by, and all of them in the end',
  async (t) => {
    const { core, idAt } = crowd()
    core.start(0)
    for (let at = 1; at < 3_000; at++) core.evidence(0, idAt(at), 'linked')
    /** Bytes of the answer. */
    const ask = (nowMs: number, at: number): number => {
      const message = { type: 'sync', buckets: new Uint32Array(256) } as const
      const packet = { to: idAt(0), from: idAt(at), epoch: 1, incarnation: 1, message, records: [] }
      const effects = core.receive(nowMs, packet, 'link')
      return effects.reduce((sum, effect) => sum + (effect.type === 'send' ? packetBytes(effect.packet) : 0), 0)
    }
    const whole = ask(0, 1)
    t.ok(whole > 3_000 * 21, 'an answer is everything')
    const open = new Set(Array.from({ length: 2_998 }, (_, at) => at + 2))
    const most = { bytes: 0 }
    let second = 0
    for (; open.size > 0 && second < 120; second++) {
      let bytes = 0
      for (const at of open) {
        const answer = ask(second * 1_000, at)
        bytes += answer
        if (answer >= whole / 2) open.delete(at)
      }
      most.bytes = Math.max(most.bytes, bytes)
    }
    t.ok(most.bytes < 0.06 * 3_000 * whole, `${most.bytes} bytes at once at most, of ${3_000 * whole} that were asked for`)
    t.equal(open.size, 0, `all were answered after ${second} s`)
    t.ok(core.leftOpen > 3_000)
  },
)

t.test('who asks for a little without end is given it, and takes nothing of what the others are answered from', async (t) => {
  const { core, idAt } = crowd()
  core.start(0)
  for (const at of [1, 2]) core.evidence(0, idAt(at), 'linked')
  const bytesOf = (effects: ReturnType<SwimCore['tick']>): number =>
    effects.reduce((sum, effect) => sum + (effect.type === 'send' ? packetBytes(effect.packet) : 0), 0)
  const hear = (nowMs: number, at: number, message: Packet['message']): number =>
    bytesOf(core.receive(nowMs, { to: idAt(0), from: idAt(at), epoch: 1, incarnation: 1, message, records: [] }, 'link'))
  const few = Array.from({ length: 8 }, (_, at) => idAt(at + 10))
  let given = 0
  for (let round = 0; round < 50_000; round++) given += hear(0, 1, { type: 'pull', ids: few })
  t.ok(given > 16 * 2 ** 20, 'that was much')
  const everything = { type: 'sync', buckets: new Uint32Array(256) } as const
  t.ok(hear(0, 2, everything) > 3_000 * 21, 'another one is answered at once')
})

t.test('dskit#192, #525: among 3,000 members of whom none answers, what is under way at once stays small', async (t) => {
  const { core } = crowd()
  const dials: number[] = []
  const [sent, seen]: [number[], string[]] = [[], []]
  const carry = (nowMs: number, effects: ReturnType<SwimCore['tick']>): void => {
    for (const effect of effects) {
      if (effect.type === 'send') sent.push(nowMs)
      else if (effect.type === 'event') seen.push(effect.event.type)
      else if (effect.type === 'triage') dials.push(nowMs + effect.timeoutMs)
    }
  }
  carry(0, core.start(0))
  const most = { dials: 0, sends: 0 }
  for (let nowMs = core.wakeAtMs; nowMs <= 300_000; nowMs = core.wakeAtMs) {
    carry(nowMs, core.tick(nowMs))
    while ((dials[0] ?? nowMs) < nowMs) dials.shift()
    while ((sent[0] ?? nowMs) < nowMs - 1_000) sent.shift()
    most.dials = Math.max(most.dials, dials.length)
    most.sends = Math.max(most.sends, sent.length)
  }
  t.ok(seen.includes('suspect'))
  t.ok(most.dials <= 64, `${most.dials} dials at once`)
  t.ok(most.sends <= 600, `${most.sends} packets within a second`)
})

t.test(
  'behind NAT: members that refuse every dial come in, are never called failed, and are missed when they are gone',
  async (t) => {
    const [members, hidden] = [40, 8]
    for (let seed = 31; seed <= 33; seed++) {
      const sim = new OverlaySim({ members, seed, begin: 'cold' })
      const isHidden = (index: number): boolean => index >= members - hidden
      for (let index = members - hidden; index < members; index++) {
        sim.hide(index)
        sim.filterDatagrams(index)
      }
      const seen = newsOf(sim, () => {
        for (let index = 1; index < members; index++) sim.after(50 * index, () => sim.connect(index, 0))
        sim.run(180_000)
      })
      t.equal(sim.isConverged, true, `seed ${seed}: one group`)
      t.same(
        seen.filter(({ type, subject }) => type === 'failed' && isHidden(subject)),
        [],
        'in their first minutes and after',
      )
      t.notOk(
        seen.some(({ type }) => type === 'failed'),
        'nor is anybody else',
      )
      const last = members - 1
      sim.kill(last)
      const tookMs = sim.runUntil(
        () => others(sim, last).every((at) => sim.core(at).member(sim.idOf(last))?.state === 'dead'),
        60_000,
      )
      t.ok(tookMs !== undefined && tookMs < 20_000, `gone, and known to all after ${tookMs} ms`)
    }
  },
)
