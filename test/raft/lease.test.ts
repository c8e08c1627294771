/** Lease reads of real processes that are stopped, or busy, while others elect and write. */
import t, { type Test } from 'tap'
import { ids, Processes } from './processes.js'
import { Group } from './raft-group.js'

/** A leader with a lease is put to sleep until another one has written; then it is asked, still cut off from what happened. */
async function sleepThrough(t: Test, clockName: 'honest' | 'dreaming') {
  const processes = new Processes(t, clockName)
  const old = await processes.leader()
  await processes.ask(old.id, { type: 'add', add: 1 })
  const before = await processes.leased(old.id)
  processes.signal(old.id, 'SIGSTOP')
  processes.cut(old.id)
  const next = await processes.leader(old.term)
  const written = await processes.ask(next.id, { type: 'add', add: 10 })
  const pending = processes.ask(old.id, { type: 'read', consistency: 'lease', deadlineMs: 1_000 })
  processes.signal(old.id, 'SIGCONT')
  return { processes, old, before, written, pending: await pending }
}

t.test(
  'a process that slept longer than its lease refuses to read while it is cut off, and reads what is true when it is not',
  async (t) => {
    const { processes, old, before, written, pending } = await sleepThrough(t, 'honest')
    t.equal(before.value, 1)
    t.equal(written.value, 11)
    t.equal(pending.code, 'ERR_SKEIN_NO_QUORUM')
    t.equal(pending.readsByLease, before.readsByLease, 'not by its lease')
    processes.heal()
    const after = await processes.ask(old.id, { type: 'read', consistency: 'lease', deadlineMs: 20_000 })
    t.equal(after.value, 11)
  },
)

t.test('with a clock that sleeps as well the same read is stale: the clock is what it hangs on', async (t) => {
  const { written, pending } = await sleepThrough(t, 'dreaming')
  t.equal(written.value, 11)
  t.equal(pending.value, 1)
})

t.test(
  'a process that was busy longer than its lease does not read by it, though the promises it slept over are still in its sockets',
  async (t) => {
    const processes = new Processes(t, 'honest')
    const old = await processes.leader()
    await processes.ask(old.id, { type: 'add', add: 1 })
    const before = await processes.leased(old.id)
    // The leader is told last of all: what comes in meanwhile waits behind the stall.
    processes.send(old.id, { type: 'stall', stallMs: 4_000 })
    const pending = processes.ask(old.id, { type: 'read', consistency: 'lease', deadlineMs: 20_000 })
    const next = await processes.leader(old.term)
    const written = await processes.ask(next.id, { type: 'add', add: 10 })
    t.equal(written.value, 11)
    const answer = await pending
    t.equal(answer.readsByLease, before.readsByLease, 'not by its lease')
    t.equal(answer.value, 11, 'what is true')
  },
)

t.test('lease reads: by the leader alone, elsewhere as linearizable ones, and refused without the option', async (t) => {
  const group = new Group()
  t.teardown(() => group.end())
  for (const id of ids) await group.start(id, { bootstrap: ids, leaseReads: true })
  const leader = await group.leader()
  await leader.raft.apply({ add: 7 })
  while (leader.raft.metrics().readsByLease < 3)
    t.equal(await leader.raft.read(() => leader.machine.sum, { consistency: 'lease' }), 7)
  const other = group.members.find(({ raft }) => raft.id !== leader.raft.id)
  t.equal(await other?.raft.read(() => other.machine.sum, { consistency: 'lease' }), 7)
  t.equal(other?.raft.metrics().readsByLease, 0)
  const plain = new Group()
  t.teardown(() => plain.end())
  const { raft } = await plain.found(1)
  await t.rejects(
    raft.read(() => 1, { consistency: 'lease' }),
    {
      code: 'ERR_SKEIN_INVALID_OPTION',
      message: /leaseReads/,
    },
  )
  // @ts-expect-error: a word where true or false belongs
  await t.rejects(plain.start(2, { leaseReads: 'yes' }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'leaseReads' } })
})
