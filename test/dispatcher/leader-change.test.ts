import t, { type Test } from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import { Dispatcher } from '../../lib/dispatcher/dispatcher.js'
import type { Membership } from '../../lib/dispatcher/node-watch.js'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import { description, found, node, openHarness, service } from '../store/harness.js'

const workers = 10_000
const stepMs = 100

/** Ten thousand workers with a running task each come to a leader that has just begun, which admits as many as it does by default. */
async function changeLeader(t: Test, membershipAt: (nowMs: () => number) => Membership | undefined): Promise<Set<string>> {
  const { store, clock, submit } = await openHarness()
  const ids = Array.from({ length: workers }, (_, at) => `w${String(at).padStart(11, '0')}`)
  await submit(found)
  for (let from = 0; from < workers; from += 500) await submit(...ids.slice(from, from + 500).flatMap((id) => node(id)))
  await submit(...service('service00001', 'web', workers))
  const view = store.view()
  const tasks = [...view.tasks()].map(({ handle }) => handle)
  await submit(
    { op: 'tasks.assign', tasks, nodes: ids },
    { op: 'tasks.observe', updates: tasks.map((task) => ({ task, state: 'running', message: '' })) },
  )
  const random = seededRandom(31)
  const dispatcher = new Dispatcher({
    store,
    clock,
    random,
    settings: () => defaultClusterSettings,
    managers: () => [],
    membership: membershipAt(() => clock.now()),
    dial: async () => 'refused',
  })
  /** What each worker does next, by the step in which it does it. */
  const agenda = new Map<number, (() => void)[]>()
  const later = (delayMs: number, act: () => void): void => {
    const step = Math.max(Math.ceil((clock.now() + delayMs) / stepMs), Math.floor(clock.now() / stepMs) + 1)
    const acts = agenda.get(step)
    if (acts === undefined) agenda.set(step, [act])
    else acts.push(act)
  }
  const counts = { open: 0, busy: 0, other: [] as unknown[] }
  const register = (id: string): void => {
    void dispatcher.open(id, { description, address: 'h:9', reports: [] }).then(
      ({ session, heartbeatMs }) => {
        counts.open++
        const beat = (): void => {
          dispatcher.beat(id, session).catch((error: unknown) => counts.other.push(error))
          later(heartbeatMs, beat)
        }
        later(heartbeatMs, beat)
      },
      (error: unknown) => {
        if (!isSkeinError(error, 'ERR_SKEIN_BUSY')) return void counts.other.push(error)
        counts.busy++
        later((error.detail.retryAfterMs ?? 0) * (1 + random() / 10), () => register(id))
      },
    )
  }
  const states = new Set<string>()
  let touched = 0
  store.onChange((changes) => {
    for (const change of changes)
      if (change.kind === 'node' && change.type === 'set') states.add(change.object.state)
      else if (change.kind === 'task') touched++
  })
  dispatcher.start()
  for (const id of ids) later(random() * 1_000, () => register(id))
  let [seconds, openAtOnce] = [0, 0]
  for (; seconds < 120 && counts.open < workers; seconds++) {
    const before = counts.open
    for (let passed = 0; passed < 1_000; passed += stepMs) {
      clock.advance(stepMs)
      for (const act of agenda.get(Math.floor(clock.now() / stepMs)) ?? []) act()
      agenda.delete(Math.floor(clock.now() / stepMs))
      for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate)
    }
    openAtOnce = Math.max(openAtOnce, counts.open - before)
  }
  t.same(counts.other, [])
  t.equal(counts.open, workers, `all have a session after ${seconds} s`)
  t.ok(openAtOnce <= 500 + 200, `${openAtOnce} were let in within a second`)
  t.ok(seconds > 30, 'longer than a silent worker is waited for')
  t.ok(counts.busy > workers, `${counts.busy} times one was told to wait`)
  t.equal(touched, 0, 'no task was touched')
  t.ok([...view.nodes()].every(({ state }) => state === 'ready'))
  await dispatcher.stop()
  return states
}

t.test(
  'a leader that is new to 10,000 workers, and lets them in for longer than the silent are waited for, takes none down',
  { timeout: 180_000 },
  async (t) => {
    const states = await changeLeader(t, () => undefined)
    t.same([...states].sort(), ['ready', 'unknown'], 'who has not come yet is unknown meanwhile, and nobody is down')
  },
)

t.test(
  'where membership says that they live, none of 10,000 workers is unknown or down while it waits for a new leader to let it in',
  { timeout: 180_000 },
  async (t) => {
    const states = await changeLeader(t, (nowMs) => ({
      member: () => ({ state: 'alive', accusers: 0, isRefused: false, sinceMs: 0, heardMs: nowMs() }),
      observe: () => () => undefined,
    }))
    // Who is told to wait for longer than the grace is given no new tasks meanwhile.
    t.same([...states].sort(), ['degraded', 'ready'])
  },
)
