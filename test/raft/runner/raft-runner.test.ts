import { readdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { deferred } from '../../../lib/base/deferred.js'
import { isSkeinError } from '../../../lib/base/errors.js'
import { makeMessage } from '../../../lib/raft/core/index.js'
import { encodeFrame, frameHead } from '../../../lib/raft/runner/index.js'
import { bytes, Cluster, ListMachine, type Peer, voters } from './cluster.js'

async function clusterFor(t: Test): Promise<Cluster> {
  const cluster = await Cluster.create()
  t.teardown(() => cluster.end())
  return cluster
}

function sameTexts(peers: readonly Peer[], count: number): () => boolean {
  return () => peers.every(({ machine }) => machine.texts.length === count)
}

t.test('three peers elect one leader and apply the same commands in the same order', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const results = await Promise.all(Array.from({ length: 50 }, (_, i) => leader.runner.propose<number>(bytes(`command ${i}`))))
  t.strictSame(
    results,
    results.map((_, i) => i + 1),
    "each proposer gets its own command's result",
  )
  await cluster.until(sameTexts(cluster.peers, 50))
  for (const { machine } of cluster.peers) t.strictSame(machine.texts, leader.machine.texts)
  const status = leader.runner.status()
  t.match(status, { role: 'leader', leader: leader.id, commitIndex: status.lastIndex, quorum: { voters: 3 } })
  t.equal(status.progress.size, 3)
  const follower = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  t.match(follower.runner.status(), { role: 'follower', leader: leader.id, term: status.term })
})

t.test('a leader that stood still for three election timeouts takes nobody for silent', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  await cluster.until(() => leader.runner.status().quorum.reachable === 3)
  const endMs = performance.now() + 600
  while (performance.now() < endMs); // tickMs 20, electionTicks 10
  t.same([...leader.runner.status().quorum.answering].sort(), [1, 2, 3])
  const others = [1, 2, 3].filter((id) => id !== leader.id)
  for (const id of others) await cluster.kill(id)
  await cluster.until(() => leader.runner.status().quorum.reachable === 1)
})

t.test('every acknowledged write is there after all peers are killed and started again', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3], { segmentBytes: 2000, snapshotEveryEntries: 40, trailingEntries: 5 })
  const acknowledged: string[] = []
  const killed = deferred()
  for (let i = 0; i < 150; i++) {
    void leader.runner.propose(bytes(`write ${i}`)).then(() => {
      acknowledged.push(`write ${i}`)
      if (acknowledged.length === 100) void Promise.all([1, 2, 3].map((id) => cluster.kill(id))).then(() => killed.resolve())
    })
  }
  await killed.promise
  const before = [...acknowledged]

  for (const id of [1, 2, 3]) await cluster.start(id, { segmentBytes: 2000, snapshotEveryEntries: 40 })
  const next = await cluster.leader()
  await next.runner.propose(bytes('after'))
  for (const text of before) if (!next.machine.texts.includes(text)) t.fail(`${text} was acknowledged and is gone`)
  t.ok(before.length >= 100)
  t.equal(new Set(next.machine.texts).size, next.machine.texts.length, 'nothing was applied twice')
  await cluster.until(() => cluster.peers.every(({ machine }) => machine.texts.includes('after')))
  for (const { machine } of cluster.peers) t.strictSame(machine.texts, next.machine.texts)
})

t.test('a leader that is cut off says that the outcome is unknown, and the others go on', async (t) => {
  const cluster = await clusterFor(t)
  const old = await cluster.found([1, 2, 3])
  await old.runner.propose(bytes('first'))
  cluster.isolate(old.id)
  const lost = old.runner.propose(bytes('lost'), { requestId: 'r1', deadlineMs: 60_000 })
  await t.rejects(lost, { code: 'ERR_SKEIN_OUTCOME_UNKNOWN', detail: { requestId: 'r1' } })
  t.not(old.runner.status().role, 'leader', 'it stepped down')
  await t.rejects(old.runner.propose(bytes('refused')), { code: 'ERR_SKEIN_NOT_LEADER', detail: { leader: undefined } })

  const rest = cluster.peers.filter(({ id }) => id !== old.id)
  const next = await cluster.leader(rest)
  await next.runner.propose(bytes('second'))
  cluster.heal()
  await cluster.until(() => old.machine.texts.includes('second'))
  t.strictSame(old.machine.texts, ['first', 'second'], 'what a majority never had is gone')
})

t.test('a minority refuses reads in bounded time and writes at once', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const lonely = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  cluster.isolate(lonely.id)
  await t.rejects(lonely.runner.propose(bytes('no')), { code: 'ERR_SKEIN_NOT_LEADER' })
  await t.rejects(lonely.runner.read(), { code: 'ERR_SKEIN_NO_QUORUM', detail: { voters: 3 } })
})

t.test('a read on any peer sees what was acknowledged before it', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  for (let i = 0; i < 10; i++) {
    await leader.runner.propose(bytes(`write ${i}`))
    await Promise.all(
      cluster.peers.map(async ({ runner, machine }) => {
        await runner.read()
        if (!machine.texts.includes(`write ${i}`)) t.fail(`write ${i} is missing in a read after it`)
      }),
    )
  }
  t.pass('ten rounds')
})

t.test('a follower that lags behind compaction gets a snapshot, and keeps up after it', async (t) => {
  const cluster = await clusterFor(t)
  const options = { snapshotEveryEntries: 20, trailingEntries: 5, segmentBytes: 1000 }
  const leader = await cluster.found([1, 2, 3], options)
  const behind = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  await cluster.kill(behind.id)
  for (let i = 0; i < 100; i++) await leader.runner.propose(bytes(`write ${i}`))
  const { snapshotsTaken, snapshotSeconds } = leader.runner.metrics()
  t.ok(snapshotsTaken >= 3 && snapshotSeconds.count >= snapshotsTaken && snapshotSeconds.sum > 0)
  t.ok(leader.runner.metrics().walSegments < 6, 'segments behind the snapshot are gone')

  const back = await cluster.start(behind.id, options)
  await cluster.until(() => back.machine.texts.length === 100)
  t.ok(back.machine.restores >= 1 && cluster.piecesCarried >= 1)
  const { snapshotsInstalled, snapshotInstallSeconds } = back.runner.metrics()
  t.ok(snapshotInstallSeconds.count === snapshotsInstalled && snapshotInstallSeconds.max > 0)
  t.strictSame(back.machine.texts, leader.machine.texts)
  await leader.runner.propose(bytes('one more'))
  await cluster.until(() => back.machine.texts.length === 101)

  await cluster.kill(back.id)
  const again = await cluster.start(back.id, options)
  await cluster.until(() => again.machine.texts.length === 101)
  t.strictSame(again.machine.texts, leader.machine.texts, 'also after a restart from the installed snapshot')
})

t.test('a snapshot file that rotted is taken again before a follower needs it twice', async (t) => {
  const cluster = await clusterFor(t)
  const options = { snapshotEveryEntries: 20, trailingEntries: 2, segmentBytes: 1000 }
  const leader = await cluster.found([1, 2, 3], options)
  const behind = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  await cluster.kill(behind.id)
  for (let i = 0; i < 30; i++) await leader.runner.propose(bytes(`write ${i}`))
  await cluster.until(() => leader.runner.metrics().snapshotsTaken === 1)
  const dir = join(cluster.dir(leader.id), 'snapshots')
  for (const name of await readdir(dir)) await truncate(join(dir, name), 60)
  const back = await cluster.start(behind.id, options)
  await cluster.until(() => back.machine.texts.length === 30)
  t.strictSame(back.machine.texts, leader.machine.texts)
  t.equal(leader.runner.metrics().snapshotsTaken, 2)
})

t.test('a newcomer becomes a learner, catches up, becomes a voter, and then counts', async (t) => {
  const cluster = await clusterFor(t)
  const first = await cluster.start(1, { bootstrap: voters(1) })
  first.runner.campaign()
  await cluster.leader()
  await first.runner.propose(bytes('alone'))
  const second = await cluster.start(2)
  t.strictSame(second.runner.status().conf.voters, [], 'it waits to be contacted')

  const learning = await first.runner.changeConf({ changes: [{ type: 'l', nodeId: 2 }] })
  t.match(learning, { voters: [1], learners: [2] })
  await cluster.until(() => second.machine.texts.length === 1)
  const both = await first.runner.changeConf({ changes: [{ type: 'v', nodeId: 2 }] })
  t.match(both, { voters: [1, 2], learners: [] })
  await first.runner.propose(bytes('together'))
  await cluster.until(() => second.events.some((event) => event.type === 'conf' && event.conf.voters.length === 2))

  cluster.isolate(2)
  await t.rejects(first.runner.propose(bytes('half'), { deadlineMs: 60_000 }), { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
})

t.test(
  'a newcomer that needs a snapshot gets one that knows of it, though the newest is older than its membership',
  async (t) => {
    const cluster = await clusterFor(t)
    const options = { snapshotEveryEntries: 20, trailingEntries: 2 }
    const first = await cluster.start(1, { bootstrap: voters(1), ...options })
    first.runner.campaign()
    await cluster.leader()
    for (let i = 0; i < 50; i++) await first.runner.propose(bytes(`write ${i}`))
    const second = await cluster.start(2, options)
    await first.runner.changeConf({ changes: [{ type: 'l', nodeId: 2 }] })
    await cluster.until(() => second.machine.texts.length === 50)
    t.ok(first.runner.metrics().snapshotsSent <= 2, 'none is sent in vain')
  },
)

t.test('one change of members at a time', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1])
  const changes = [2, 3].map((nodeId) => leader.runner.changeConf({ changes: [{ type: 'l', nodeId }] }))
  const outcomes = await Promise.allSettled(changes)
  t.equal(outcomes[0]?.status, 'fulfilled')
  t.match(outcomes[1], { status: 'rejected', reason: { code: 'ERR_SKEIN_CONF_CHANGE' } })
  t.strictSame(leader.runner.status().conf.learners, [2])
})

t.test('leadership is handed over on request', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const target = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  await t.rejects(leader.runner.transferLeadership(99), { code: 'ERR_SKEIN_PRECONDITION' })
  await t.rejects(target.runner.transferLeadership(leader.id), {
    code: 'ERR_SKEIN_NOT_LEADER',
    detail: { leader: String(leader.id) },
  })
  await leader.runner.transferLeadership(target.id)
  t.equal((await cluster.leader()).id, target.id)
})

t.test('a leader is news only when it has applied an entry of its own term', async (t) => {
  const cluster = await clusterFor(t)
  const checks: boolean[] = []
  for (const id of [1, 2, 3]) {
    const peer = await cluster.start(id, { bootstrap: voters(1, 2, 3) })
    peer.runner.observe((event) => {
      if (event.type !== 'role' || event.role !== 'leader') return
      const { appliedIndex, commitIndex } = peer.runner.status()
      checks.push(appliedIndex >= 4 && appliedIndex === commitIndex && event.leader === id)
    })
  }
  const leader = await cluster.leader()
  t.strictSame(checks, [true])
  const terms = leader.events.flatMap((event) => (event.type === 'role' ? [event.term] : []))
  t.strictSame(
    terms,
    [...terms].sort((a, b) => a - b),
    'terms only rise',
  )
})

t.test('a single peer acknowledges nothing before its disk has it', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1])
  await leader.runner.propose(bytes('first'))
  const gate = deferred()
  const asked = deferred()
  leader.files.beforeSync = () => {
    asked.resolve()
    return gate.promise
  }
  let done = false
  const write = leader.runner.propose(bytes('second')).then(() => {
    done = true
  })
  await asked.promise
  // Were anything acknowledged before the sync, these turns would be time enough.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.notOk(done)
  t.strictSame(leader.machine.texts, ['first'], 'nor is it applied')
  gate.resolve()
  await write
  t.strictSame(leader.machine.texts, ['first', 'second'])
})

t.test('proposals that come while the disk is busy share one sync', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1])
  const before = leader.runner.metrics()
  await Promise.all(Array.from({ length: 500 }, (_, i) => leader.runner.propose(bytes(`write ${i}`))))
  const after = leader.runner.metrics()
  t.equal(after.entriesWritten - before.entriesWritten, 500)
  t.ok(after.fsyncs - before.fsyncs <= 50, `${after.fsyncs - before.fsyncs} syncs`)
})

t.test('a disk that fails ends the peer: it says so, refuses everything, and never campaigns', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  leader.files.beforeSync = async () => {
    throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', syscall: 'fdatasync' })
  }
  await t.rejects(leader.runner.propose(bytes('doomed'), { deadlineMs: 60_000 }), { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  t.ok(isSkeinError(await leader.runner.ended, 'ERR_SKEIN_STORAGE'))
  leader.files.beforeSync = async () => {}
  await t.rejects(leader.runner.propose(bytes('refused')), { code: 'ERR_SKEIN_STORAGE' })
  await t.rejects(leader.runner.read(), { code: 'ERR_SKEIN_STORAGE' })
  t.throws(() => leader.runner.campaign(), { code: 'ERR_SKEIN_STORAGE' })
  const next = await cluster.leader(cluster.peers.filter(({ id }) => id !== leader.id))
  t.not(next.id, leader.id)
  await next.runner.propose(bytes('goes on'))
})

t.test('a command that the state machine cannot take ends the peer', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1])
  leader.machine.apply = () => {
    throw new Error('cannot')
  }
  await t.rejects(leader.runner.propose(bytes('poison')), { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  t.match(await leader.runner.ended, { message: 'cannot' })
})

t.test('bounds are kept: size, number and bytes of what waits', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1], { maxEntryBytes: 100, maxPendingProposals: 5, maxPendingReads: 1 })
  await t.rejects(leader.runner.propose(Buffer.alloc(101)), { code: 'ERR_SKEIN_TOO_LARGE', detail: { size: 101, limit: 100 } })
  await t.rejects(leader.runner.propose(Buffer.alloc(0)), { code: 'ERR_SKEIN_TOO_LARGE' })
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => leader.runner.propose(bytes(`${i}`))))
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5)
  t.match(outcomes[7], { reason: { code: 'ERR_SKEIN_BUSY', detail: { limit: 'maxPendingProposals' } } })
  const reads = await Promise.allSettled([leader.runner.read(), leader.runner.read()])
  t.match(reads, [{ status: 'fulfilled' }, { reason: { code: 'ERR_SKEIN_BUSY' } }])
})

t.test('a caller may stop waiting: before it is proposed nothing happened, after it nobody knows', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const gone = new AbortController()
  gone.abort()
  await t.rejects(leader.runner.propose(bytes('x'), { signal: gone.signal }), { code: 'ERR_SKEIN_ABORTED' })
  await t.rejects(leader.runner.read({ signal: gone.signal }), { code: 'ERR_SKEIN_ABORTED' })
  cluster.isolate(leader.id)
  const later = new AbortController()
  const write = leader.runner.propose(bytes('y'), { signal: later.signal })
  const read = leader.runner.read({ signal: later.signal })
  await new Promise((turn) => setImmediate(turn)) // it is in the log now
  later.abort()
  await t.rejects(write, { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  await t.rejects(read, { code: 'ERR_SKEIN_ABORTED' })
  const late = leader.runner.propose(bytes('z'), { deadlineMs: 1 })
  await t.rejects(late, { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
})

t.test('frames that are malformed, of another version or of another cluster are dropped and counted', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const before = leader.runner.metrics()
  leader.runner.receive(2, Buffer.from('garbage'))
  leader.runner.receive(2, new Uint8Array(0))
  leader.runner.receive(2, Uint8Array.of(99, 0x90))
  leader.runner.receive(2, encodeFrame(frameHead('elsewhere'), [makeMessage('MsgHeartbeat', 2, leader.id, 1e6)]))
  const after = leader.runner.metrics()
  t.equal(after.framesDropped - before.framesDropped, 4)
  t.equal(after.framesOfOtherVersion - before.framesOfOtherVersion, 2, "'g' is the version of the first")
  t.equal(after.framesOfOtherCluster - before.framesOfOtherCluster, 1)
  await leader.runner.propose(bytes('still here'))
})

t.test('after stop everything is refused, and waiters know that they do not know', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  cluster.isolate(leader.id)
  const write = t.rejects(leader.runner.propose(bytes('x')), { code: 'ERR_SKEIN_OUTCOME_UNKNOWN' })
  const read = t.rejects(leader.runner.read(), { code: 'ERR_SKEIN_STOPPED' })
  await new Promise((turn) => setImmediate(turn)) // the write is in the log now
  const tooLate = t.rejects(leader.runner.propose(bytes('z')), { code: 'ERR_SKEIN_STOPPED' }, 'never proposed')
  await leader.runner.stop()
  await tooLate
  await leader.runner.stop()
  await Promise.all([write, read])
  t.equal(await leader.runner.ended, undefined)
  await t.rejects(leader.runner.propose(bytes('y')), { code: 'ERR_SKEIN_STOPPED' })
})

t.test('a machine that kept its own state gets only what it has not seen', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1])
  for (const text of ['a', 'b', 'c']) await leader.runner.propose(bytes(text))
  const { texts, lastPosition } = leader.machine
  await leader.runner.stop()
  await cluster.kill(1)
  const kept = new ListMachine()
  kept.texts = texts.slice(0, 2)
  kept.appliedIndex = lastPosition.index - 1
  kept.lastPosition = { index: kept.appliedIndex, term: lastPosition.term }
  const again = await cluster.start(1, { stateMachine: kept })
  await again.runner.propose(bytes('d')).catch(() => undefined) // it may not lead yet
  again.runner.campaign()
  await cluster.leader()
  await again.runner.propose(bytes('e'))
  t.strictSame(kept.texts.slice(0, 3), ['a', 'b', 'c'])
})

t.test('a machine that is ahead of the log is refused: the log was lost', async (t) => {
  const cluster = await clusterFor(t)
  const ahead = new ListMachine()
  ahead.appliedIndex = 50
  await t.rejects(cluster.start(1, { bootstrap: voters(1), stateMachine: ahead }), {
    code: 'ERR_SKEIN_CORRUPT',
    message: /has applied entry 50, but the log ends at 1.*join again/,
  })
})

t.test('options out of range are refused by name', async (t) => {
  const cluster = await clusterFor(t)
  await t.rejects(cluster.start(0), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'id' } })
  await t.rejects(cluster.start(1, { electionTicks: 2 }), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'electionTicks' },
  })
  await t.rejects(cluster.start(1, { clusterId: 'a'.repeat(40) }), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'clusterId' },
  })
  await t.rejects(cluster.start(1, { bootstrap: voters() }), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'bootstrap' },
  })
})

t.test('without a directory everything lives in memory', async (t) => {
  const cluster = await clusterFor(t)
  const { MemoryFiles } = await import('../../../lib/raft/wal/index.js')
  const leader = await cluster.found([1], { files: new MemoryFiles(), dir: undefined })
  t.equal(await leader.runner.propose(bytes('x')), 1)
})

t.test('peers that know of the death of their leader elect another without waiting for the timeout', async (t) => {
  const cluster = await clusterFor(t)
  // An election timeout of half an hour: only the evidence can bring a new leader.
  const patient = { tickMs: 60_000, electionTicks: 30 }
  for (const id of [1, 2, 3]) await cluster.start(id, { bootstrap: voters(1, 2, 3), ...patient })
  const [first, second, third] = [cluster.peer(1), cluster.peer(2), cluster.peer(3)]
  first.runner.campaign()
  await cluster.leader()
  await first.runner.propose(bytes('before'))
  await cluster.until(() => second.runner.status().leader === 1 && third.runner.status().leader === 1)
  await cluster.kill(1)
  for (const { runner } of [third, second]) runner.reportUnreachable(1, 'dead')
  const next = await cluster.leader()
  await next.runner.propose(bytes('after'))
  t.strictSame(next.machine.texts, ['before', 'after'])
})

t.test('a peer that believes its leader dead deposes nobody while the others hear it', async (t) => {
  const cluster = await clusterFor(t)
  const leader = await cluster.found([1, 2, 3])
  const { term } = leader.runner.status()
  const [wrong, other] = cluster.peers.filter(({ id }) => id !== leader.id) as [Peer, Peer]
  for (let time = 0; time < 5; time++) {
    wrong.runner.reportUnreachable(leader.id, 'dead')
    wrong.runner.campaign() // its turn would come by a timer
    await leader.runner.propose(bytes(`write ${time}`))
    await cluster.until(() => wrong.runner.status().leader === leader.id)
  }
  t.match(leader.runner.status(), { role: 'leader', term })
  t.match(other.runner.status(), { leader: leader.id, term })
  wrong.runner.reportUnreachable(other.id, 'dead')
  t.equal(wrong.runner.status().leader, leader.id, 'the death of another follower is no reason')
})
