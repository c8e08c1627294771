import t from 'tap'
import type { ManagerAddress, SessionHello } from '../../lib/api/session.js'
import { SkeinError } from '../../lib/base/errors.js'
import { hashText } from '../../lib/base/hash.js'
import { seededRandom } from '../../lib/base/random.js'
import type { LinkEvent } from '../../lib/overlay/transport/index.js'
import { settleMs, spreadMs } from '../../lib/peer/homing.js'
import { type FoundSession, SessionFinder } from '../../lib/peer/session-finder.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

const hello = {} as SessionHello
const managers: readonly ManagerAddress[] = ['ma', 'mb', 'mc'].map((node) => ({ node, address: `${node}:1` }))

/** A worker's finder over a pool in which links come up as soon as they are wished, and go down by `lose`. */
function worker(node: string, known = managers, clock = new ManualClock()) {
  const kept = new Map<string, Set<string>>()
  const dead = new Set<string>()
  const observers = new Set<(event: LinkEvent) => void>()
  const asked: string[] = []
  const ahead: string[] = []
  const dials: string[] = []
  const streams: string[] = []
  let leader: string | undefined = 'ma'
  let silent = false
  const finder = new SessionFinder({
    node,
    clock,
    random: seededRandom(hashText(node)),
    manager: () => undefined,
    managers: () => known,
    pool: {
      keep: (to, _address, user = 'peer') => {
        if (!kept.has(to)) dials.push(to)
        kept.set(to, (kept.get(to) ?? new Set()).add(user))
      },
      release: (to, user) => {
        kept.get(to)?.delete(user)
        if (kept.get(to)?.size === 0) kept.delete(to)
      },
      link: (to) => (kept.has(to) && !dead.has(to) ? ({} as never) : undefined),
      observe: (observer) => {
        observers.add(observer)
        return () => observers.delete(observer)
      },
      stream: async function* (to, _method, _params, { signal } = {}) {
        streams.push(to)
        yield `all from ${to}`
        await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
        throw new SkeinError('ERR_SKEIN_ABORTED', 'over', { what: 'stream' })
      },
      call: async (to, method, _params, { channel } = {}) => {
        asked.push(`${to} ${method}`)
        if (channel === 'session') ahead.push(`${to} ${method}`)
        if (silent) return await new Promise(() => undefined)
        if (dead.has(to)) throw new SkeinError('ERR_SKEIN_UNREACHABLE', 'gone', { address: to })
        if (leader === undefined) throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'none', { leader: undefined })
        return { session: 's', heartbeatMs: 1_000, managers: known, ...(leader !== to && { leader }) }
      },
    },
  })
  const never = new AbortController().signal
  /** Lets the wait pass that keeps workers apart, and opens. */
  const open = async (): Promise<{ found: FoundSession; manager: string }> => {
    const finding = finder.connect(never)
    clock.advance(100)
    const found = await finding
    await found.api.open(node, hello)
    clock.advance(2_000)
    return { found, manager: asked.at(-1)?.split(' ')[0] as string }
  }
  return {
    clock,
    dials,
    asked,
    /** What went ahead of everything else. */
    ahead,
    streams,
    observers,
    open,
    back: (manager: string) => dead.delete(manager),
    lose: (manager: string) => {
      dead.add(manager)
      for (const observer of [...observers]) observer({ type: 'down', node: manager, evidence: 'reset', reason: '' })
    },
    leads: (manager: string | undefined) => {
      leader = manager
    },
    hang: () => {
      silent = true
    },
    answer: () => {
      silent = false
    },
    /** Whom it keeps a link to, and for what. */
    links: () => Object.fromEntries([...kept].map(([to, users]) => [to, [...users].sort().join()])),
    finder,
  }
}

t.test('a worker holds its session and one link more: to the leader, or to the next in line', async (t) => {
  for (let at = 0; at < 20; at++) {
    const { open, links } = worker(`worker${at}`)
    const { manager } = await open()
    const standby = Object.keys(links()).find((each) => each !== manager) as string
    t.equal(Object.keys(links()).length, 2)
    if (manager !== 'ma') t.equal(standby, 'ma', 'the leader reaches every worker')
    t.same(links(), { [manager]: 'session', [standby]: 'standby' })
  }
})

t.test('workers spread over the managers, and one manager less moves only its own', async (t) => {
  const sessions = new Map<string, number>()
  for (let at = 0; at < 300; at++) {
    const all = await worker(`worker${at}`).open()
    const rest = await worker(`worker${at}`, managers.slice(0, 2)).open()
    sessions.set(all.manager, (sessions.get(all.manager) ?? 0) + 1)
    if (all.manager !== 'mc') t.equal(rest.manager, all.manager)
  }
  for (const count of sessions.values()) t.ok(count > 70 && count < 130, String(count))
})

t.test('heartbeats, and nothing else, go ahead of what waits on the link', async (t) => {
  const { open, ahead } = worker('worker1')
  const { found, manager } = await open()
  await found.api.report('worker1', 's', [])
  await found.api.beat('worker1', 's')
  t.same(ahead, [`${manager} session.beat`])
})

t.test('whose manager is lost goes on over the link it has, without a dial, and then holds another', async (t) => {
  for (let at = 0; at < 20; at++) {
    const { open, links, lose, leads, dials } = worker(`worker${at}`)
    const { found, manager } = await open()
    const standby = Object.keys(links()).find((each) => each !== manager) as string
    leads(standby)
    const dialled = dials.length
    lose(manager)
    t.equal(found.closed.aborted, true)
    const next = await open()
    t.equal(next.manager, standby)
    t.equal(dials.length, dialled + 1, 'only for the new standby')
    const third = managers.find(({ node }) => node !== manager && node !== standby)?.node as string
    const rest = Object.keys(links()).filter((each) => each !== standby)
    t.equal(rest.length, 1)
    t.ok(rest[0] === third || rest[0] === manager)
  }
})

t.test('a new leader moves no session: only the second link follows it', async (t) => {
  const { open, links, leads } = worker('worker1')
  const { manager } = await open()
  const other = managers.find(({ node }) => node !== manager && node !== 'ma')?.node ?? 'mb'
  leads(other)
  const next = await open()
  t.equal(next.manager, manager)
  t.same(links(), { [manager]: 'session', [other]: 'standby' })
})

t.test('a manager that keeps its link and does not answer is passed over', async (t) => {
  const { open, hang, answer, finder, clock } = worker('worker2')
  const { found, manager } = await open()
  hang()
  void found.api.beat('worker2', 's').catch(() => undefined)
  const finding = finder.connect(new AbortController().signal)
  clock.advance(100)
  await finding
  answer()
  const next = await open()
  t.not(next.manager, manager)
})

t.test('managers that know no leader are asked in turn, again and again, until one does', async (t) => {
  const { open, leads } = worker('worker3')
  leads(undefined)
  for (let asked = 0; asked < 7; asked++) await t.rejects(open(), { code: 'ERR_SKEIN_NOT_LEADER' })
  leads('mb')
  await t.resolves(open())
  await t.rejects(worker('worker4', []).open(), { code: 'ERR_SKEIN_UNREACHABLE' })
})

t.test('a session that is over leaves no listener and no timer behind', async (t) => {
  const { finder, clock, observers } = worker('worker5')
  const over = new AbortController()
  const found = await finder.connect(over.signal)
  await found.api.open('worker5', hello)
  over.abort()
  t.equal(observers.size, 0)
  t.equal(clock.pending, 0)
})

/** Lets what was promised happen. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    clock.advance(250)
    await turn()
  }
}

t.test('a worker goes home once its manager is back, over a link that stands, and its session stands meanwhile', async (t) => {
  const { open, lose, back, links, leads, asked, streams, clock, finder } = worker('worker1')
  const { manager: home } = await open()
  const away = Object.keys(links()).find((each) => each !== home) as string
  leads(away)
  lose(home)
  const { found, manager } = await open()
  t.equal(manager, away)
  const told: unknown[] = []
  const over = new AbortController()
  const reading = (async () => {
    for await (const each of found.api.assignments('worker1', 's', over.signal)) told.push(each)
  })()
  reading.catch(() => undefined)
  await pass(clock, settleMs + spreadMs + 20_000)
  t.notMatch(links()[home], /session/, 'while it is gone nothing moves')
  back(home)
  const opened = asked.filter((each) => each.endsWith('session.open')).length
  await pass(clock, settleMs + spreadMs + 20_000)
  t.match(links()[home], /session/)
  t.notMatch(links()[away], /session/)
  t.equal(found.closed.aborted, false)
  t.equal(asked.filter((each) => each.endsWith('session.open')).length, opened, 'no second session')
  await found.api.beat('worker1', 's')
  t.equal(asked.at(-1), `${home} session.beat`)
  t.same(streams, [away, home])
  t.same(told, [`all from ${away}`, `all from ${home}`])
  lose(home)
  t.equal(found.closed.aborted, true, 'and now it ends with that link')
  over.abort()
  await t.rejects(reading)
  t.equal(clock.pending, 0)
  t.ok(finder)
})

t.test('after managers restarted one by one workers are even again within two minutes, a few at a time', async (t) => {
  const count = 300
  const clock = new ManualClock()
  const workers = Array.from({ length: count }, (_, at) => worker(`worker${at}`, managers, clock))
  const finds = new Map<number, FoundSession>()
  /** As their agents do: whoever is refused asks again. */
  const connect = async (which: readonly number[]): Promise<void> => {
    const finding = which.map(async (at) => {
      const found = await (workers[at] as ReturnType<typeof worker>).finder.connect(new AbortController().signal)
      const isOpen = await found.api.open(`worker${at}`, hello).then(
        () => true,
        () => false,
      )
      if (isOpen) finds.set(at, found)
      return isOpen ? [] : [at]
    })
    clock.advance(100)
    const refused = (await Promise.all(finding)).flat()
    if (refused.length > 0) await connect(refused)
  }
  await connect([...workers.keys()])
  const through = (at: number): string => {
    const links = Object.entries((workers[at] as ReturnType<typeof worker>).links())
    return links.find(([, users]) => users.includes('session'))?.[0] as string
  }
  const shares = (): number[] => managers.map(({ node }) => [...finds.keys()].filter((at) => through(at) === node).length)
  const atFirst = shares()
  for (const { node } of managers) {
    for (const each of workers) {
      each.leads(node === 'ma' ? 'mb' : 'ma')
      each.lose(node)
    }
    await connect([...finds].flatMap(([at, { closed }]) => (closed.aborted ? [at] : [])))
    clock.advance(1_000)
    for (const each of workers) each.back(node)
  }
  t.ok(Math.max(...shares()) > 1.5 * Math.max(...atFirst), `uneven at first: ${shares().join()}`)
  const perSecond: number[] = []
  let before = Array.from({ length: count }, (_, at) => through(at))
  for (let second = 0; second < 120; second++) {
    await pass(clock, 1_000)
    const now = Array.from({ length: count }, (_, at) => through(at))
    perSecond.push(now.filter((each, at) => each !== before[at]).length)
    before = now
  }
  t.same(shares(), atFirst, 'each is where it would have been')
  t.ok(
    perSecond.slice(0, settleMs / 1_000).every((moves) => moves === 0),
    'nobody hurries',
  )
  t.ok(Math.max(...perSecond) <= 15, `at most ${Math.max(...perSecond)} a second`)
  t.ok(
    [...finds.values()].every(({ closed }) => !closed.aborted),
    'and no session ended for it',
  )
})

t.test('an answer that comes after its link was lost, or after the end, begins nothing', async (t) => {
  const { finder, clock, lose, asked } = worker('worker1')
  const over = new AbortController()
  const finding = finder.connect(over.signal)
  clock.advance(100)
  const { api, closed } = await finding
  const opening = api.open('worker1', hello)
  lose(asked[0]?.split(' ')[0] as string)
  t.equal(closed.aborted, true)
  await opening
  t.equal(clock.pending, 0, 'no timer is left that nobody would cancel')
  t.equal(finder.isAway, false)

  over.abort()
  const other = worker('worker1')
  const late = other.finder.connect(over.signal)
  other.clock.advance(100)
  const found = await late
  t.equal(found.closed.aborted, true)
  await found.api.open('worker1', hello)
  t.equal(other.clock.pending, 0)
})
