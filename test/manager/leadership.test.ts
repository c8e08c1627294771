import t from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import { type Duty, Leadership } from '../../lib/manager/leadership.js'

/** Duties that write down when they begin and end; ending waits for `release`. */
function recorded(log: string[], release: Promise<void> = Promise.resolve()): (term: number) => readonly Duty[] {
  return (term) =>
    ['a', 'b'].map((name) => ({
      name,
      start: () => log.push(`+${name}${term}`),
      stop: async () => {
        await release
        log.push(`-${name}${term}`)
      },
    })) as unknown as readonly Duty[]
}
const noError = (error: unknown): void => {
  throw error
}

t.test('duties begin in order with the term and end in reverse with it', async (t) => {
  const log: string[] = []
  const leadership = new Leadership(recorded(log), noError)
  leadership.gained(4)
  while (log.length < 2) await Promise.resolve()
  t.equal(leadership.term, 4)
  await leadership.stop()
  t.same(log, ['+a4', '+b4', '-b4', '-a4'])
})

t.test('the duties of one term have ended before those of the next begin', async (t) => {
  const log: string[] = []
  const release = deferred()
  const leadership = new Leadership(recorded(log, release.promise), noError)
  leadership.gained(4)
  while (log.length < 2) await Promise.resolve()
  leadership.lost()
  leadership.gained(7)
  t.same(log, ['+a4', '+b4'], 'the old ones have not ended, so the new ones have not begun')
  release.resolve()
  while (leadership.term !== 7) await Promise.resolve()
  t.same(log, ['+a4', '+b4', '-b4', '-a4', '+a7', '+b7'])
  await leadership.stop()
})

t.test('a term that was lost before its duties began never begins them', async (t) => {
  const log: string[] = []
  const leadership = new Leadership(recorded(log), noError)
  leadership.gained(4)
  leadership.lost()
  await leadership.stop()
  t.same(log, [])
  t.equal(leadership.term, undefined)
})

t.test('a duty that fails to stop does not keep the others from stopping', async (t) => {
  const log: string[] = []
  const errors: unknown[] = []
  const make = (): readonly Duty[] => [
    { name: 'good', start: () => undefined, stop: async () => void log.push('stopped') },
    { name: 'bad', start: () => undefined, stop: () => Promise.reject(new Error('no')) },
  ]
  const leadership = new Leadership(make, (error) => errors.push(error))
  leadership.gained(1)
  while (leadership.term !== 1) await Promise.resolve()
  await leadership.stop()
  t.same(log, ['stopped'])
  t.match(errors, [/duty bad did not stop cleanly: no/])
})
