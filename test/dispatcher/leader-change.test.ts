import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import { Dispatcher } from '../../lib/dispatcher/dispatcher.js'
import { description, found, node, openHarness } from '../store/harness.js'

/** A quarter of ten thousand, let in at a quarter of the pace: it takes them as long. */
const workers = 2_500
const admission = { burst: 125, perSecond: 50 }
const stepMs = 100

t.test(
  'a leader that is new to its workers, and lets them in for longer than the silent are waited for, takes none down',
  async (t) => {
    const { store, clock, submit } = await openHarness()
    const ids = Array.from({ length: workers }, (_, at) => `w${String(at).padStart(11, '0')}`)
    await submit(found)
    for (let from = 0; from < workers; from += 500) await submit(...ids.slice(from, from + 500).flatMap((id) => node(id)))
    const view = store.view()
    const random = seededRandom(31)
    const dispatcher = new Dispatcher({
      store,
      clock,
      random,
      settings: () => view.cluster?.settings ?? { heartbeatMs: 1_000, graceFactor: 3, pauseToleranceMs: 30_000 },
      managers: () => [],
      admission,
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
    dispatcher.start()
    for (const id of ids) later(random() * 1_000, () => register(id))
    const down = new Set<string>()
    store.onChange((changes) => {
      for (const change of changes)
        if (change.kind === 'node' && change.type === 'set' && change.object.state === 'down') down.add(change.object.id)
    })
    let seconds = 0
    for (; seconds < 120 && counts.open < workers; seconds++) {
      for (let passed = 0; passed < 1_000; passed += stepMs) {
        clock.advance(stepMs)
        for (const act of agenda.get(Math.floor(clock.now() / stepMs)) ?? []) act()
        agenda.delete(Math.floor(clock.now() / stepMs))
        for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate)
      }
    }
    t.same(counts.other, [])
    t.equal(counts.open, workers, `all have a session after ${seconds} s`)
    t.ok(seconds > 30, 'longer than a silent worker is waited for')
    t.ok(counts.busy > workers, `${counts.busy} times one was told to wait`)
    t.same([...down], [], 'and none was taken down')
    t.ok([...view.nodes()].every(({ state }) => state === 'ready'))
    await dispatcher.stop()
  },
)
