/**
 * What went wrong in other people's clusters when members came, left, came back or were removed, each as a group in the simulator. Numbers are those of the trackers where it was reported.
 */
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { seededRandom } from '../../../lib/base/random.js'
import { resolveSwimOptions, SwimCore } from '../../../lib/overlay/swim/index.js'
import { OverlaySim } from '../../../lib/sim/overlay/index.js'
import { newsOf, others } from './watching.js'

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

t.test('consul#8435: of 3,600 members one leaves while twelve die: almost all know of it within a second', async (t) => {
  const [members, lost] = [3_600, 12]
  const sim = new OverlaySim({ members, seed: 13 })
  sim.run(1500)
  const startMs = sim.nowMs
  const heard = new Set<number>()
  let mostMs: number | undefined
  sim.watch(({ atMs, observer, subject, event }) => {
    if (subject !== 0) return
    if (event.type === 'left') heard.add(observer)
    if (heard.size >= 0.999 * (members - 1 - lost)) mostMs ??= atMs - startMs
  })
  for (let index = 1; index <= lost; index++) sim.kill(index)
  sim.command(0, (core, nowMs) => core.leave(nowMs))
  const allMs = sim.runUntil(() => heard.size === members - 1 - lost, 5000)
  t.ok(mostMs !== undefined && mostMs <= 1000, `99.9 % after ${mostMs} ms`)
  t.ok(allMs !== undefined && allMs <= 1600, `all after ${allMs} ms`)
})

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
  for (let seed = 17; seed < 23; seed++) {
    const sim = new OverlaySim({ members: 8, seed })
    sim.run(2000)
    const gone = sim.idOf(3)
    const isKnownTo = (index: number): boolean => sim.core(index).member(gone) !== undefined
    const tell = (index: number): void => sim.command(index, (core, nowMs) => core.remove(nowMs, [gone]))
    const [told, untold] = [
      [0, 1, 2, 4, 5],
      [6, 7],
    ]
    const rest = [...told, ...untold]
    const answers = new Set<string>()
    const ghosts = new Set<number>()
    const runWatched = (durationMs: number, refusing: readonly number[]): void => {
      sim.runUntil(() => {
        for (const index of refusing) if (isKnownTo(index)) ghosts.add(index)
        return false
      }, durationMs)
    }
    for (const index of told) tell(index)
    const news = newsOf(sim, () => {
      runWatched(30_000, told)
      t.ok(
        untold.every((index) => sim.core(index).member(gone)?.state === 'alive'),
        `seed ${seed}: those who were not told still hold it alive, and say so`,
      )
      // It starts anew, which is news of a kind that otherwise overrules all that was said before.
      sim.restart(3)
      runWatched(30_000, told)
      t.ok(
        untold.every((index) => sim.core(index).record(gone)?.epoch === 2),
        `seed ${seed}: of its new life as well`,
      )
      for (const index of untold) tell(index)
      runWatched(1000, rest)
      const core = sim.core(3)
      const { receive } = core
      core.receive = (nowMs, packet, lane) => {
        answers.add(packet.message.type)
        return receive.call(core, nowMs, packet, lane)
      }
      runWatched(60_000, rest)
    })
    t.strictSame([...ghosts], [], `seed ${seed}: it was never back where it is refused`)
    t.strictSame(
      news.filter(({ type, observer, subject }) => observer !== 3 && subject !== 3 && (type === 'failed' || type === 'joined')),
      [],
      `seed ${seed}: and nobody who is left was lost over it`,
    )
    t.ok(
      rest.every((index) => sim.core(index).hereCount === 7 && sim.core(index).digest === sim.core(rest[0] as number).digest),
      `seed ${seed}: the rest know the same`,
    )
    // Whoever makes a link is asked what it knows; that no link is made with it is for those who make them.
    answers.delete('sync')
    t.strictSame([...answers], [], `seed ${seed}: and none of them answers it`)
  }
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
