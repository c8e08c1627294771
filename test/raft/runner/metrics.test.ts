import t, { type Test } from 'tap'
import type { Clock } from '../../../lib/base/clock.js'
import { deferred } from '../../../lib/base/deferred.js'
import { type MessageFields, makeMessage } from '../../../lib/raft/core/index.js'
import { RunnerCounts } from '../../../lib/raft/runner/metrics.js'
import { RoundTrips } from '../../../lib/raft/runner/round-trips.js'
import { Tally } from '../../../lib/raft/runner/summary.js'
import { Ticker } from '../../../lib/raft/runner/ticker.js'
import { bytes, Cluster, voters } from './cluster.js'

/** A busy machine must not cost the leader its office. */
const slowTicks = { tickMs: 100 }

async function clusterFor(t: Test): Promise<Cluster> {
  const cluster = await Cluster.create()
  t.teardown(() => cluster.end())
  return cluster
}

t.test('a summary holds how many, their sum and the largest, and nothing before the first', (t) => {
  const tally = new Tally()
  t.same(tally.summary, { count: 0, sum: 0, max: 0 })
  for (const value of [2, 7, 1]) tally.add(value)
  t.same(tally.summary, { count: 3, sum: 10, max: 7 })
  t.end()
})

t.test('every proposal ends as committed, refused or unknown, and is counted once', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3], { maxEntryBytes: 100, ...slowTicks })
  const { runner } = leader
  const before = runner.metrics()
  await Promise.all(Array.from({ length: 20 }, (_, i) => runner.propose(bytes(`write ${i}`))))
  await t.rejects(runner.propose(bytes('x'.repeat(101))), { code: 'ERR_SKEIN_TOO_LARGE' })
  await t.rejects(runner.propose(bytes('gone'), { signal: AbortSignal.abort() }), { code: 'ERR_SKEIN_ABORTED' })
  await runner.changeConf({ changes: [{ type: 'l', nodeId: 4 }] })
  const after = runner.metrics()
  t.equal(after.proposals - before.proposals, 23)
  t.equal(after.proposalsCommitted - before.proposalsCommitted, 21)
  t.equal(after.proposalsRefused - before.proposalsRefused, 2)
  t.equal(after.proposalsUnknown, 0)
  t.equal(after.pendingProposals, 0)
  t.equal(after.confChanges - before.confChanges, 1)
  t.equal(after.learners, 1)
  t.equal(after.commitSeconds.count - before.commitSeconds.count, 21)
  t.ok(after.commitSeconds.max > 0 && after.commitSeconds.sum >= after.commitSeconds.max)
  t.ok(after.entriesApplied - before.entriesApplied >= 21)

  const follower = cluster.peers.find(({ id }) => id !== leader.id)
  await t.rejects(follower?.runner.propose(bytes('elsewhere')) ?? Promise.resolve(), { code: 'ERR_SKEIN_NOT_LEADER' })
  const { proposals, proposalsRefused, isLeader, hasLeader, peerMatchIndex } = follower?.runner.metrics() ?? after
  t.match({ proposals, proposalsRefused, isLeader, hasLeader }, { proposals: 1, proposalsRefused: 1, isLeader: 0, hasLeader: 1 })
  t.same(peerMatchIndex, {}, 'only a leader knows the others')
})

t.test('a proposal that waits when its peer stops is counted as unknown', async (t) => {
  const cluster = await clusterFor(t)
  const { runner, files } = await cluster.found([1])
  const gate = deferred()
  files.beforeSync = () => gate.promise
  const write = runner.propose(bytes('late'))
  await new Promise((resolve) => setImmediate(resolve))
  const waiting = runner.metrics()
  t.match(waiting, { pendingProposals: 1, proposalsUnknown: 0 })
  const stopping = runner.stop()
  await t.rejects(write, { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  gate.resolve()
  await stopping
  t.match(runner.metrics(), { pendingProposals: 0, proposalsUnknown: 1, proposals: 1 })
})

t.test('a Ready is counted with its entries and their bytes, a write with its sync by the time it takes', async (t) => {
  const cluster = await clusterFor(t)
  const { runner } = await cluster.found([1])
  const before = runner.metrics()
  await Promise.all(Array.from({ length: 50 }, (_, i) => runner.propose(bytes(`write ${i}`.padEnd(100)))))
  const after = runner.metrics()
  t.equal(after.readyEntries.sum - before.readyEntries.sum, 50)
  t.ok(after.readyEntries.max > 1, 'what comes together goes together')
  t.ok(after.readyBytes.sum - before.readyBytes.sum >= 50 * 100)
  t.ok(after.readyEntries.count <= after.readyBatches)
  t.equal(after.fsyncSeconds.count, after.fsyncs - 1, 'the first configuration is written before there is a runner')
  t.ok(after.fsyncSeconds.sum > 0)
  t.ok(after.applySeconds.count > before.applySeconds.count)
})

t.test('a leader knows how far each of the others is and how long its answers take', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3], slowTicks)
  const others = [1, 2, 3].filter((id) => id !== leader.id).map(String)
  const { runner } = leader
  while (Object.keys(runner.metrics().peerRoundTripSeconds).length < 2) await runner.read()
  await runner.propose(bytes('one'))
  // A majority is enough for that: the other may have answered heartbeats alone.
  await cluster.until(() => Object.values(runner.metrics().peerState).every((state) => state === 1))
  const { lastIndex, ...metrics } = runner.metrics()
  for (const id of others) {
    t.equal(metrics.peerLagEntries[id], lastIndex - (metrics.peerMatchIndex[id] ?? 0))
    t.ok((metrics.peerNextIndex[id] ?? 0) > (metrics.peerMatchIndex[id] ?? 0))
    t.equal(metrics.peerState[id], 1)
    t.ok((metrics.peerRoundTripSeconds[id] ?? -1) >= 0)
    t.ok((metrics.peerInflightMessages[id] ?? -1) >= 0)
  }
  t.same(Object.keys(metrics.peerMatchIndex), others)
  t.match(metrics, { isLeader: 1, hasLeader: 1, voters: 3, learners: 0, leaderContactSeconds: 0, leadershipsWon: 1 })
  t.ok(metrics.readsConfirmed >= 1 && metrics.campaigns >= 1)

  const follower = cluster.peer(Number(others[0])).runner
  cluster.isolate(leader.id)
  await cluster.leader(cluster.peers.filter(({ id }) => id !== leader.id))
  await cluster.until(() => runner.metrics().isLeader === 0)
  t.equal(runner.metrics().leadershipsLost, 1)
  t.same(runner.metrics().peerRoundTripSeconds, {})
  t.ok(follower.metrics().leaderChanges >= 2)
})

t.test('every metric is a finite number, or a table of them', async (t) => {
  const cluster = await clusterFor(t)
  const { runner } = await cluster.found([1, 2, 3])
  for (const [name, value] of Object.entries(runner.metrics())) {
    const numbers: readonly unknown[] = typeof value === 'number' ? [value] : Object.values(value)
    t.ok(
      numbers.every((each) => Number.isFinite(each)),
      name,
    )
  }
})

t.test('round trips belong to the heartbeat that was answered, in the term of the leader', (t) => {
  const trips = new RoundTrips()
  const context = (beat: number) => {
    const bytes = Buffer.alloc(16)
    bytes.writeBigUInt64BE(BigInt(beat), 8)
    return bytes
  }
  const beat = (number: number, nowMs: number, term = 1) =>
    trips.leaves(makeMessage('MsgHeartbeat', 1, 2, term, { context: context(number) }), nowMs)
  const answer = (fields: MessageFields, nowMs: number, term = 1) =>
    trips.arrived(2, [makeMessage('MsgHeartbeatResp', 2, 1, term, fields)], nowMs)

  beat(1, 0)
  beat(2, 100)
  beat(3, 200)
  answer({ context: null }, 201)
  answer({ context: context(9) }, 201)
  t.equal(trips.ofMs(2), undefined, 'answers to what nobody sent')
  answer({ context: context(1) }, 240)
  t.equal(trips.ofMs(2), 240, 'not 40: two more had left')
  answer({ context: context(2) }, 260)
  t.equal(trips.ofMs(2), 240 - (240 - 160) / 8)
  beat(1, 1_000, 2)
  answer({ context: context(1) }, 1_001, 1)
  t.equal(trips.ofMs(2), undefined, 'an answer to the leader of an earlier term')
  for (let number = 2; number <= 66; number++) beat(number, 1_000 + number, 2)
  answer({ context: context(1) }, 5_000, 2)
  t.equal(trips.ofMs(2), undefined, 'one that is too old to be remembered')
  t.end()
})

t.test('the lag of the event loop is what ticks come too late by', async (t) => {
  let nowMs = 0
  let fire = () => {}
  const clock: Clock = {
    now: () => nowMs,
    wallMs: () => nowMs,
    after: () => () => undefined,
    every: (_, act) => {
      fire = act
      return () => undefined
    },
  }
  const ticker = new Ticker(clock, 100, () => undefined)
  ticker.start()
  for (const atMs of [100, 205, 755]) {
    nowMs = atMs
    fire()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(ticker.lagSeconds.count, 3)
  t.equal(Math.round(ticker.lagSeconds.max * 1_000), 450)
  t.equal(Math.round(ticker.lagSeconds.sum * 1_000), 455)
  t.equal(ticker.missed, 4)
  ticker.stop()
})

t.test(
  'leaderships are counted when they are won and lost, campaigns when they begin, learners when they get their votes',
  (t) => {
    const counts = new RunnerCounts()
    for (const state of ['StatePreCandidate', 'StateCandidate', 'StateLeader', 'StateFollower', 'StateLeader'] as const) {
      counts.nowIs(state)
      counts.nowIs(state)
    }
    t.match(counts, { campaigns: 2, leadershipsWon: 2, leadershipsLost: 1 })
    counts.reconfigured({ ...voters(1), learners: [2, 3] }, { ...voters(1, 2, 4), learners: [3] })
    t.match(counts, { confChanges: 1, learnersPromoted: 1 })
    t.end()
  },
)
