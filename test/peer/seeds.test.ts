import t from 'tap'
import { SkeinError } from '../../lib/base/errors.js'
import { seededRandom } from '../../lib/base/random.js'
import type { Link, LinkPool } from '../../lib/overlay/transport/index.js'
import { type AskOptions, askManagers } from '../../lib/peer/ask-managers.js'
import { Seeds } from '../../lib/peer/seeds.js'
import { ManualClock } from '../../lib/testing/index.js'

/** A name service in a map. */
function names(table: Map<string, readonly string[]>, asked: string[] = []) {
  return async (host: string): Promise<readonly string[]> => {
    asked.push(host)
    const found = table.get(host)
    if (found === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`)
    return found
  }
}

t.test('a name stands for everything it names, each address once', async (t) => {
  const table = new Map([
    ['seeds.example', ['10.0.0.1', '10.0.0.2', '::1']],
    ['10.0.0.2', ['10.0.0.2']],
  ])
  const seeds = new Seeds(['seeds.example:7946', '10.0.0.2:7946'], names(table), new ManualClock())
  t.strictSame(await seeds.list(), ['10.0.0.1:7946', '10.0.0.2:7946', '[::1]:7946'])
})

t.test('a name is looked up again after 15 s, and not before; when that fails what it last named stays', async (t) => {
  const clock = new ManualClock()
  const table = new Map<string, readonly string[]>([['seeds', ['10.0.0.1']]])
  const asked: string[] = []
  const seeds = new Seeds(['seeds:1'], names(table, asked), clock)
  t.strictSame(await seeds.list(), ['10.0.0.1:1'])
  table.set('seeds', ['10.0.0.9'])
  clock.advance(14_999)
  t.strictSame(await seeds.list(), ['10.0.0.1:1'])
  t.equal(asked.length, 1)
  clock.advance(1)
  t.strictSame(await seeds.list(), ['10.0.0.9:1'])
  table.delete('seeds')
  clock.advance(15_000)
  t.strictSame(await seeds.list(), ['10.0.0.9:1'])
  t.strictSame(seeds.unknown, [])
})

t.test('a name that names nobody is asked for at every try, and says why', async (t) => {
  const table = new Map<string, readonly string[]>()
  const seeds = new Seeds(['soon:1'], names(table), new ManualClock())
  t.strictSame(await seeds.list(), [])
  t.match(seeds.unknown, [{ said: 'soon:1', why: /ENOTFOUND soon/ }])
  table.set('soon', ['10.0.0.1'])
  t.strictSame(await seeds.list(), ['10.0.0.1:1'])
})

t.test('a name service that never answers keeps nobody waiting for the other addresses', async (t) => {
  const clock = new ManualClock()
  const asked: string[] = []
  const lookup = async (host: string): Promise<readonly string[]> => {
    asked.push(host)
    return host === 'slow' ? await new Promise(() => undefined) : ['10.0.0.1']
  }
  const seeds = new Seeds(['slow:1', 'a:1'], lookup, clock)
  const list = seeds.list()
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(2_000)
  t.strictSame(await list, ['10.0.0.1:1'])
  const again = seeds.list()
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(2_000)
  await again
  t.strictSame(asked, ['slow', 'a'], 'one question at a time to each name')
})

/** A pool in which dials end as told. */
function ask(
  dial: (address: string) => Promise<Link>,
  addresses: AskOptions['addresses'],
  timeoutMs = 2_000,
  signal?: AbortSignal,
) {
  const clock = new ManualClock()
  const dialled: string[] = []
  const pool = {
    dial: async (address: string) => {
      dialled.push(address)
      return await dial(address)
    },
  } as unknown as LinkPool
  const options = { pool, addresses, what: 'join', timeoutMs, clock, random: seededRandom(1), signal }
  const answer = askManagers(options, async (link) => await link.call('join.join', {}))
  const turn = setInterval(() => clock.advance(500), 1)
  return { dialled, answer: answer.finally(() => clearInterval(turn)) }
}

const link = (answer: () => Promise<unknown>): Link => ({ call: answer, close: () => undefined }) as unknown as Link
const refused = (address: string): SkeinError => new SkeinError('ERR_SKEIN_UNREACHABLE', `${address} refused`, { address })

t.test('a dead first address, and one that is somebody else’s by now, do not stop joining', async (t) => {
  const { answer, dialled } = ask(
    async (address) => {
      if (address === 'a:1') throw refused(address)
      if (address === 'b:1') throw new SkeinError('ERR_SKEIN_OTHER_CLUSTER', 'another one', { ours: 'x', theirs: 'y' })
      return link(async () => 'taken in')
    },
    ['a:1', 'b:1', 'c:1'],
  )
  t.equal(await answer, 'taken in')
  t.strictSame(dialled, ['a:1', 'b:1', 'c:1'])
})

t.test('when nobody answers the error names every address with its reason, names without an address too', async (t) => {
  const seeds = new Seeds(
    ['a:1', 'b:1', 'gone:1'],
    names(
      new Map([
        ['a', ['1.1.1.1']],
        ['b', ['2.2.2.2']],
      ]),
    ),
    new ManualClock(),
  )
  const { answer } = ask(async (address) => {
    throw refused(address)
  }, seeds)
  await t.rejects(answer, {
    code: 'ERR_SKEIN_UNREACHABLE',
    message: /1\.1\.1\.1:1 \(1\.1\.1\.1:1 refused\); 2\.2\.2\.2:1 \(.*\); gone:1 \(.*ENOTFOUND gone\)/,
  })
})

t.test('of another cluster everywhere is said at once; a token’s refusal by anybody too', async (t) => {
  const other = ask(async () => {
    throw new SkeinError('ERR_SKEIN_OTHER_CLUSTER', 'another one', { ours: 'x', theirs: 'y' })
  }, ['a:1', 'b:1'])
  await t.rejects(other.answer, { code: 'ERR_SKEIN_OTHER_CLUSTER' })
  t.equal(other.dialled.length, 2)
  const said = ask(
    async () =>
      link(async () => {
        throw new SkeinError('ERR_SKEIN_BAD_JOIN_SECRET', 'revoked', { part: 'revoked' })
      }),
    ['a:1', 'b:1'],
  )
  await t.rejects(said.answer, { code: 'ERR_SKEIN_BAD_JOIN_SECRET' })
  t.equal(said.dialled.length, 1)
})

t.test('two managers that name each other as the leader are not followed for ever', async (t) => {
  let calls = 0
  const { answer } = ask(
    async (address) =>
      link(async () => {
        calls++
        const other = address === 'a:1' ? 'b:1' : 'a:1'
        throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'ask the other', { leader: 'n', address: other })
      }),
    ['a:1', 'b:1'],
  )
  await t.rejects(answer, { code: 'ERR_SKEIN_NOT_LEADER' })
  t.ok(calls < 200, `${calls} calls`)
})

t.test('who stops is heard, whatever the asking waits for: names that name nobody, a name service, an answer', async (t) => {
  const forever = async (): Promise<never> => await new Promise(() => undefined)
  const clock = new ManualClock()
  const waits: readonly [string, AskOptions['addresses'], () => Promise<Link>][] = [
    ['names that name nobody', new Seeds(['gone:1'], names(new Map()), clock), forever],
    ['a name service', new Seeds(['slow:1'], forever, clock), forever],
    ['an answer', ['a:1'], async () => link(forever)],
  ]
  for (const [what, addresses, dial] of waits) {
    const stop = new AbortController()
    const { answer } = ask(dial, addresses, 60_000, stop.signal)
    setImmediate(() => stop.abort())
    await t.rejects(answer, { code: 'ERR_SKEIN_ABORTED' }, what)
    const late = ask(dial, addresses, 60_000, stop.signal)
    await t.rejects(late.answer, { code: 'ERR_SKEIN_ABORTED' }, `${what}, stopped before it began`)
    t.same(late.dialled, [])
  }
})
