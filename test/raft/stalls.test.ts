/** A follower whose event loop stands still, or whose process is stopped, while its leader lives. */
import t from 'tap'
import { ids, Processes } from './processes.js'

for (const how of ['busy', 'stopped'] as const) {
  t.test(`a follower that was ${how} for several election timeouts begins no election`, async (t) => {
    const processes = new Processes(t, 'honest')
    const leader = await processes.leader()
    const sleeper = ids.find((id) => id !== leader.id) as number
    const before = await processes.ask(sleeper, { type: 'read', consistency: 'linearizable', deadlineMs: 20_000 })
    if (how === 'busy') processes.send(sleeper, { type: 'stall', stallMs: 5_000 })
    else processes.signal(sleeper, 'SIGSTOP')
    // Half a second is an election timeout here. The others go on meanwhile, one write after the other.
    const until = performance.now() + 5_000
    let sum = 0
    while (performance.now() < until) sum = (await processes.ask(leader.id, { type: 'add', add: 1 })).value ?? 0
    if (how === 'stopped') processes.signal(sleeper, 'SIGCONT')
    const after = await processes.ask(sleeper, { type: 'read', consistency: 'linearizable', deadlineMs: 20_000 })
    t.equal(after.value, sum)
    t.equal(after.term, before.term)
    const still = await processes.ask(leader.id, { type: 'add', add: 1 })
    t.match(still, { value: sum + 1, term: before.term })
  })
}
