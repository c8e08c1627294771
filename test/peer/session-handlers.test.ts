import t from 'tap'
import type { Assignments, SessionApi } from '../../lib/api/session.js'
import { deferred } from '../../lib/base/deferred.js'
import { type ErrorCode, SkeinError } from '../../lib/base/errors.js'
import type { CallOptions, RpcContext, RpcHandler } from '../../lib/overlay/transport/index.js'
import { installSessionHandlers } from '../../lib/peer/session-handlers.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

const hello = {
  address: 'w:1',
  reports: [],
  description: { hostname: 'h', os: 'linux', arch: 'x64', pid: 1, resources: { cpuNanos: 1, memoryBytes: 1 }, drivers: [] },
}
const assignments: Assignments = { type: 'complete', appliesTo: 0, resultsIn: 1, set: [], remove: [] }
const notLeader = new SkeinError('ERR_SKEIN_NOT_LEADER', 'not I', { leader: undefined })

/** Two managers, of which `leader` leads as far as both know, and what the leader's dispatcher was asked. */
function managers() {
  const asked: string[] = []
  const ahead: string[] = []
  const agesMs: (number | undefined)[] = []
  const clock = new ManualClock()
  const ended = deferred<unknown>()
  const world = {
    leader: 'ma' as string | undefined,
    thinks: new Map<string, string>(),
    fails: undefined as ErrorCode | undefined,
  }
  const api: SessionApi = {
    open: async (node, { address }) => {
      asked.push(`open ${node} ${address}`)
      return { session: 's1', heartbeatMs: 1_000, managers: [] }
    },
    beat: async (node, session, agoMs) => {
      asked.push(`beat ${node} ${session}`)
      agesMs.push(agoMs)
      if (session === 'over') throw new SkeinError('ERR_SKEIN_SESSION_INVALID', 'over', { node })
      return { heartbeatMs: 900, ledAgoMs: 70 }
    },
    async *assignments(node, session) {
      asked.push(`assignments ${node} ${session}`)
      yield assignments
      throw notLeader
    },
    report: async (node, _session, reports) => {
      asked.push(`report ${node} ${reports.length}`)
      return { forget: ['x'] }
    },
    leave: async (node) => void asked.push(`leave ${node}`),
  }
  const handlers = new Map<string, Map<string, RpcHandler>>()
  const handlerOf = (to: string, method: string): RpcHandler => {
    const handler = handlers.get(to)?.get(method)
    if (handler === undefined) throw new Error(`${to} does not answer ${method}`)
    return handler
  }
  const context = (node: string, role: 'worker' | 'manager'): RpcContext =>
    ({ identity: { node, role, cluster: 'c', key: 'k' }, signal: new AbortController().signal }) as RpcContext
  for (const self of ['ma', 'mb']) {
    const own = new Map<string, RpcHandler>()
    handlers.set(self, own)
    const manager = {
      node: self,
      get leading() {
        return world.leader === self
      },
      leaderNode: () => world.thinks.get(self) ?? world.leader,
      servingWithin: async () => undefined,
      sessions: () => {
        if (world.leader === self) return api
        throw notLeader
      },
    }
    const ask = (to: string, method: string, params: unknown): ReturnType<RpcHandler> => {
      if (world.fails !== undefined) throw new SkeinError(world.fails as 'ERR_SKEIN_BUSY', 'on the way', { limit: 'x' })
      return handlerOf(to, method)(params, context(self, 'manager'))
    }
    installSessionHandlers(own, {
      clock,
      manager: () => manager as never,
      pool: () =>
        ({
          ended: ended.promise,
          call: async (to: string, method: string, params: unknown, { channel }: CallOptions = {}) => {
            if (channel === 'session') ahead.push(method)
            return await (ask(to, method, params) as Promise<unknown>)
          },
          stream: (to: string, method: string, params: unknown) => ask(to, method, params) as AsyncIterable<unknown>,
        }) as never,
    })
  }
  const say = (to: string, method: string, params: unknown, worker = 'worker000001'): ReturnType<RpcHandler> =>
    handlerOf(to, method)(params, context(worker, 'worker'))
  return {
    world,
    asked,
    /** Calls that went ahead of others. */
    ahead,
    say,
    /** Beats that are passed on wait for others: their time passes. */
    tell: async (to: string, method: string, params: unknown) => {
      const answer = say(to, method, params) as Promise<unknown>
      answer.catch(() => undefined) // it is awaited a moment later
      clock.advance(100)
      return await answer
    },
    /** How long ago each beat was heard, as the leader's dispatcher was told. */
    agesMs,
    clock,
    /** The links end. */
    end: () => ended.resolve(undefined),
  }
}

t.test('a manager that does not lead passes a session on under the name its link proves, and says who leads', async (t) => {
  const { asked, ahead, say, tell } = managers()
  t.match(await tell('mb', 'session.open', hello), { session: 's1', leader: 'ma' })
  t.same(await tell('mb', 'session.beat', { session: 's1', node: 'another00001' }), { heartbeatMs: 900, ledAgoMs: 70 })
  t.same(await tell('mb', 'session.report', { session: 's1', reports: [{ id: 'a.1.1', state: 'running', message: '' }] }), {
    forget: ['x'],
  })
  t.equal(await tell('mb', 'session.leave', { session: 's1' }), null)
  const stream = (say('mb', 'session.assignments', { session: 's1' }) as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  t.same((await stream.next()).value, assignments)
  await t.rejects(stream.next(), { code: 'ERR_SKEIN_NOT_LEADER' })
  t.same(asked, [
    'open worker000001 w:1',
    'beat worker000001 s1',
    'report worker000001 1',
    'leave worker000001',
    'assignments worker000001 s1',
  ])
  t.same(ahead, ['relay.beats'], 'no large report of another worker keeps a heartbeat waiting')
})

t.test('the leader itself answers, and needs to name nobody', async (t) => {
  const { tell } = managers()
  t.notOk(Object.hasOwn((await tell('ma', 'session.open', hello)) as object, 'leader'))
})

t.test('two managers that take each other for the leader refuse, and do not play ball', async (t) => {
  const { world, asked, tell } = managers()
  world.leader = undefined
  world.thinks.set('ma', 'mb').set('mb', 'ma')
  await t.rejects(tell('ma', 'session.beat', { session: 's1' }), { code: 'ERR_SKEIN_NOT_LEADER' })
  t.same(asked, [])
})

t.test('a leader lost on the way is told as a leader that is gone; any other refusal as it is', async (t) => {
  const { world, say, tell } = managers()
  for (const code of ['ERR_SKEIN_LINK_LOST', 'ERR_SKEIN_UNREACHABLE', 'ERR_SKEIN_TIMEOUT', 'ERR_SKEIN_STOPPED'] as const) {
    world.fails = code
    await t.rejects(tell('mb', 'session.beat', { session: 's1' }), { code: 'ERR_SKEIN_NOT_LEADER' }, code)
  }
  world.fails = 'ERR_SKEIN_BUSY'
  await t.rejects(tell('mb', 'session.open', hello), { code: 'ERR_SKEIN_BUSY' })
  world.fails = undefined
  await t.rejects(tell('mb', 'session.open', { ...hello, address: 7 }), {
    code: 'ERR_SKEIN_BAD_MESSAGE',
    detail: { path: 'address' },
  })
  t.throws(() => say('ma', 'session.assignments', {}), { code: 'ERR_SKEIN_BAD_MESSAGE' })
})

t.test('beats of a tenth of a second are passed on together, each with its age, and answered each by itself', async (t) => {
  const { asked, ahead, agesMs, clock, say } = managers()
  const beat = (worker: string, session = 's1'): Promise<unknown> => {
    const answer = say('mb', 'session.beat', { session }, worker) as Promise<unknown>
    answer.catch(() => undefined) // awaited below
    return answer
  }
  const first = beat('worker000001')
  clock.advance(60)
  const second = beat('worker000002', 'over')
  const third = beat('worker000003')
  clock.advance(39)
  t.same(ahead, [], 'not yet')
  clock.advance(1)
  t.same(await first, { heartbeatMs: 900, ledAgoMs: 70 })
  await t.rejects(second, { code: 'ERR_SKEIN_SESSION_INVALID', detail: { node: 'worker000002' } })
  t.same(await third, { heartbeatMs: 900, ledAgoMs: 70 })
  t.same(ahead, ['relay.beats'], 'the leader was woken once')
  t.same(asked, ['beat worker000001 s1', 'beat worker000002 over', 'beat worker000003 s1'])
  t.same(agesMs, [100, 40, 40])
  const next = beat('worker000001')
  clock.advance(100)
  await next
  t.equal(ahead.length, 2)
})

t.test('a thousand beats do not wait for the tenth of a second to be over', async (t) => {
  const { ahead, clock, say } = managers()
  const beats = Array.from(
    { length: 1_000 },
    (_, at) => say('mb', 'session.beat', { session: 's1' }, `worker${at}`) as Promise<unknown>,
  )
  await Promise.all(beats)
  t.same(ahead, ['relay.beats'])
  t.equal(clock.pending, 0)
})

t.test('when the links end, a beat that waits is answered and leaves no timer behind', async (t) => {
  const { world, clock, say, end } = managers()
  const beat = say('mb', 'session.beat', { session: 's1' }) as Promise<unknown>
  world.fails = 'ERR_SKEIN_STOPPED'
  end()
  await t.rejects(beat, { code: 'ERR_SKEIN_NOT_LEADER' })
  t.equal(clock.pending, 0)
})
