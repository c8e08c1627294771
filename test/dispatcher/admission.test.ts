import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import { Admission } from '../../lib/dispatcher/admission.js'
import { Dispatcher } from '../../lib/dispatcher/dispatcher.js'
import { description, found, node, openHarness } from '../store/harness.js'

t.test('however they come, no more are admitted than the bucket holds and what flows in', async () => {
  const options = { burst: 10, perSecond: 20 }
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 300 }), (waits) => {
      const admission = new Admission(seededRandom(1), options)
      let nowMs = 0
      const admitted: number[] = []
      for (const waitMs of waits) {
        nowMs += waitMs
        const retryMs = admission.ask(nowMs)
        if (retryMs === undefined) admitted.push(nowMs)
        else if (retryMs < 1 || retryMs > 10_000) return false
      }
      return admitted.every((fromMs, at) => {
        const within = admitted.slice(at).filter((each) => each < fromMs + 1_000).length
        return within <= options.burst + options.perSecond
      })
    }),
  )
})

t.test('who is refused is told another moment than the one before, and finds room then', async (t) => {
  const admission = new Admission(seededRandom(1), { burst: 5, perSecond: 10 })
  const waits = Array.from({ length: 15 }, () => admission.ask(0))
  t.same(waits.slice(0, 5), [undefined, undefined, undefined, undefined, undefined])
  t.same(waits.slice(5), [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000])
  for (const waitMs of waits.slice(5)) t.equal(admission.ask(waitMs as number), undefined)
})

const workersTotal = 5_000

t.test(
  '5,000 workers come to a new leader at once: a bounded number a second, every beat answered, nobody down',
  { timeout: 120_000 },
  async (t) => {
    const { store, clock, submit } = await openHarness()
    const ids = Array.from({ length: workersTotal }, (_, at) => `w${String(at).padStart(11, '0')}`)
    await submit(found)
    for (let at = 0; at < ids.length; at += 500) await submit(...ids.slice(at, at + 500).flatMap((id) => node(id)))
    const dispatcher = new Dispatcher({
      store,
      clock,
      random: seededRandom(5),
      settings: () => ({ heartbeatMs: 1_000, graceFactor: 3, pauseToleranceMs: 30_000 }),
      managers: () => [],
    })
    const random = seededRandom(9)
    const down = new Set<string>()
    store.onChange((changes) => {
      for (const change of changes)
        if (change.kind === 'node' && change.type === 'set' && change.object.state === 'down') down.add(change.object.id)
    })
    dispatcher.start()
    const opened: number[] = []
    let refusals = 0
    let beats = 0
    let lateBeats = 0
    /** A worker as its agent is: knocks when it was told to, then beats. */
    const due: { readonly id: string; readonly session: string | undefined; readonly atMs: number }[] = ids.map((id) => ({
      id,
      session: undefined,
      atMs: clock.now() + random() * 100,
    }))
    const beginMs = clock.now()
    const act = (id: string, session: string | undefined): void => {
      if (session !== undefined) {
        beats++
        dispatcher.beat(id, session).then(
          ({ heartbeatMs }) => due.push({ id, session, atMs: clock.now() + heartbeatMs }),
          () => lateBeats++,
        )
        return
      }
      dispatcher.open(id, { description, address: `${id}:1`, reports: [] }).then(
        (answer) => {
          opened.push(clock.now() - beginMs)
          due.push({ id, session: answer.session, atMs: clock.now() + answer.heartbeatMs })
        },
        (error: unknown) => {
          if (!isSkeinError(error, 'ERR_SKEIN_BUSY') || error.detail.retryAfterMs === undefined) throw error
          refusals++
          due.push({ id, session: undefined, atMs: clock.now() + error.detail.retryAfterMs * (1 + random() / 10) })
        },
      )
    }
    for (let passedMs = 0; passedMs < 36_000; passedMs += 200) {
      const now = due.splice(0).filter((each) => (each.atMs <= clock.now() ? true : void due.push(each)))
      for (const { id, session } of now) act(id, session)
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
      clock.advance(200)
      await new Promise(setImmediate)
    }
    t.equal(opened.length, workersTotal, 'all are in')
    for (let fromMs = 0; fromMs < 36_000; fromMs += 1_000) {
      const within = opened.filter((atMs) => atMs >= fromMs && atMs < fromMs + 1_000).length
      t.ok(within <= 500 + 200 + 100, `${within} in the second from ${fromMs}`)
    }
    t.ok((opened.at(-1) as number) < 34_000, 'and the bucket is used: it takes about 5,000 / 200 s')
    t.ok(refusals < 6 * workersTotal, `${refusals} refusals`)
    t.equal(lateBeats, 0)
    t.ok(beats > 10 * workersTotal)
    t.equal(down.size, 0)
    await dispatcher.stop()
  },
)
