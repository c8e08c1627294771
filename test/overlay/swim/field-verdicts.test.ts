/**
 * Who was taken for dead in other people's clusters, and who was not, each as a group in the simulator. Numbers are those of the trackers where it was reported.
 */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import {
  type Effect,
  type MemberRecord,
  type Packet,
  Roster,
  resolveSwimOptions,
  SwimCore,
} from '../../../lib/overlay/swim/index.js'
import { keepPeace, OverlaySim, pauseInTurns } from '../../../lib/sim/overlay/index.js'
import { newsOf, others } from './watching.js'

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
  for (const slow of [1, 3]) {
    const sim = new OverlaySim({ members: 20, seed: 4 })
    for (let index = 0; index < slow; index++) sim.slow(index, [20, 100])
    const news = newsOf(sim, () => sim.run(300_000))
    t.strictSame(
      news.filter(({ type }) => type === 'failed' || type === 'suspect'),
      [],
      `${slow} of 20`,
    )
  }
})

t.test(
  'members that were overloaded, and read 33 packets a second again, are soon in peace: it brings them two',
  { todo: 'what a suspicion makes others send, some 30 packets a second, keeps who reads no faster than that suspect for ever' },
  async (t) => {
    const [members, slow] = [20, 3]
    const sim = new OverlaySim({ members, seed: 1 })
    const slowDown = (perPacketMs: readonly [number, number]): void => {
      for (let index = 0; index < slow; index++) sim.slow(index, perPacketMs)
    }
    sim.run(2000)
    slowDown([100, 2000])
    sim.run(20_000)
    slowDown([20, 40])
    sim.run(120_000)
    const before = sim.sent.packets
    t.strictSame(
      newsOf(sim, () => sim.run(30_000)),
      [],
    )
    const perSecond = (sim.sent.packets - before) / members / 30
    t.ok(perSecond <= 3, `${perSecond} packets a second`)
  },
)

t.test(
  'members that take 0.1 to 2 s to read each packet, for 25 s at a time, are degraded, never dead, and make nobody else suspect',
  async (t) => {
    for (const [members, slow] of [
      [20, 5],
      [100, 10],
    ] as const)
      for (let seed = 1; seed <= (members === 20 ? 3 : 1); seed++) {
        const sim = new OverlaySim({ members, seed })
        sim.run(2000)
        const news = newsOf(sim, () => {
          for (let round = 0; round < 4; round++) {
            for (let index = 0; index < slow; index++) sim.slow(index, [100, 2000])
            sim.run(25_000)
            for (let index = 0; index < slow; index++) sim.slow(index, undefined)
            sim.run(10_000)
          }
        })
        const about = `${slow} of ${members}, seed ${seed}`
        t.strictSame(
          news.filter(({ type }) => type === 'failed'),
          [],
          about,
        )
        t.strictSame(
          news.filter(({ type, subject }) => subject >= slow && type !== 'updated'),
          [],
          `${about}: nothing is said of the others`,
        )
        const degraded = new Set(
          news.filter(({ type, subject }) => type === 'degraded' && subject < slow).map(({ subject }) => subject),
        )
        t.equal(degraded.size, slow, `${about}: and each of the slow was missed`)
        t.ok(sim.isConverged, about)
      }
  },
)

t.test(
  'members that never get through what they have to read are held for as long as a pause is borne, and take nobody with them',
  async (t) => {
    for (const slow of [1, 5])
      for (let seed = 1; seed <= 3; seed++) {
        const sim = new OverlaySim({ members: 20, seed })
        sim.run(2000)
        const news = newsOf(sim, () => {
          for (let index = 0; index < slow; index++) sim.slow(index, [100, 2000])
          sim.run(sim.options.pauseToleranceMs)
        })
        const died = (): unknown => news.filter(({ type }) => type === 'failed')
        t.strictSame(died(), [], `${slow} slow, seed ${seed}: while a pause is borne`)
        sim.run(90_000)
        t.ok(
          Array.from({ length: slow }, (_, index) => index).every((index) =>
            news.some(({ type, subject }) => type === 'failed' && subject === index),
          ),
          `${slow} slow, seed ${seed}: and no longer`,
        )
        t.strictSame(
          news.filter(({ type, subject }) => subject >= slow && type !== 'updated'),
          [],
          `${slow} slow, seed ${seed}: nothing is said of the others`,
        )
      }
  },
)

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

t.test('serf#627: a member whose own network fails accuses nobody, and nobody holds it dead', async (t) => {
  for (let seed = 10; seed < 15; seed++) {
    const sim = new OverlaySim({ members: 10, seed })
    sim.run(2000)
    const news = newsOf(sim, () => {
      sim.setLocalFault(0, true)
      sim.run(20_000)
      sim.setLocalFault(0, false)
      sim.run(60_000)
    })
    t.strictSame(
      news.filter(({ subject, type }) => subject !== 0 && type !== 'updated'),
      [],
      `seed ${seed}: not even suspicion`,
    )
    t.strictSame(
      news.filter(({ type }) => type === 'failed'),
      [],
      `seed ${seed}: its machine answers, so it may be paused`,
    )
    t.ok(
      others(sim, 0).every((index) =>
        news.some(({ type, observer, subject }) => type === 'degraded' && observer === index && subject === 0),
      ),
      `seed ${seed}: all the others missed it`,
    )
    t.ok(sim.isConverged, `seed ${seed}: all are together again`)
  }
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

t.test('T9: members that stop for up to 25 s, over and over, are never declared dead', async (t) => {
  for (const [members, count] of [
    [3, 1],
    [128, 16],
  ] as const) {
    for (const pausedMs of [8000, 25_000]) {
      const peace = keepPeace({ members, seed: 25 }, 60_000, pauseInTurns(count, pausedMs, 500))
      t.equal(peace.falseDead, 0, `${count} of ${members}, ${pausedMs} ms`)
    }
  }
})
