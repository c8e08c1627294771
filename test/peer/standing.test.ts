import t from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import { SkeinError } from '../../lib/base/errors.js'
import { silentLogger } from '../../lib/base/logger.js'
import type { LinkEvent, LinkPool } from '../../lib/overlay/transport/index.js'
import { Standing } from '../../lib/peer/standing.js'
import { fakeClock } from '../cli/fake-world.js'

function standing() {
  const clock = fakeClock()
  const words: string[] = []
  const stop = new AbortController()
  const logger = { ...silentLogger, warn: (_: object, msg: string) => void words.push(msg) }
  const subject = new Standing({ node: 'me', clock, logger, stopping: stop.signal })
  let tell: (event: LinkEvent) => void = () => undefined
  const pool: Pick<LinkPool, 'observe'> = {
    observe: (observer) => {
      tell = observer
      return () => undefined
    },
  }
  subject.watch(pool as LinkPool)
  const missed = (error: SkeinError): void =>
    tell({ type: 'missed', node: 'm2', address: 'a:1', evidence: 'closed', error } as LinkEvent)
  return { subject, clock, words, stop, missed }
}

const removed = (node: string) => new SkeinError('ERR_SKEIN_REMOVED', `node ${node} was removed`, { node })

t.test('who waits says every now and then for what, and what stands in the way; then it is quiet', async (t) => {
  const { subject, clock, words, missed } = standing()
  const done = deferred()
  const waited = subject.waitFor('a leader is known', done.promise)
  clock.advance(4_000)
  t.same(words, [], 'an election is no news')
  clock.advance(1_000)
  missed(new SkeinError('ERR_SKEIN_UNREACHABLE', 'a:1: connection refused', { address: 'a:1' }))
  clock.advance(30_000)
  t.same(words, ['still waiting: a leader is known', 'still waiting: a leader is known; a:1: connection refused'])
  done.resolve()
  await waited
  t.equal(clock.waiting(), 0)
})

t.test('a manager’s word that this node was removed ends the wait; that another one was removed does not', async (t) => {
  const { subject, missed } = standing()
  const waited = subject.waitFor('a leader is known', deferred().promise)
  missed(removed('m2'))
  missed(removed('me'))
  await t.rejects(waited, { code: 'ERR_SKEIN_REMOVED', detail: { node: 'me' } })
  t.match(await subject.over, { code: 'ERR_SKEIN_REMOVED' })
})

t.test('a manager’s word that another process runs as this node ends the wait', async (t) => {
  const { subject, missed } = standing()
  const waited = subject.waitFor('a leader is known', deferred().promise)
  missed(new SkeinError('ERR_SKEIN_ALREADY_EXISTS', 'another process runs as node me', { kind: 'node', name: 'me' }))
  await t.rejects(waited, { code: 'ERR_SKEIN_ALREADY_EXISTS' })
})

t.test('stopped, a wait ends with why this peer failed, if it did', async (t) => {
  const quiet = standing()
  const waited = quiet.subject.waitFor('a leader is known', deferred().promise)
  quiet.stop.abort()
  await t.rejects(waited, { code: 'ERR_SKEIN_STOPPED' })
  const failing = standing()
  const failed = failing.subject.waitFor('a leader is known', deferred().promise)
  failing.subject.fail(removed('me'))
  failing.stop.abort()
  await t.rejects(failed, { code: 'ERR_SKEIN_REMOVED' })
  await t.rejects(failing.subject.waitFor('more', deferred().promise), { code: 'ERR_SKEIN_REMOVED' }, 'and every later one')
})
