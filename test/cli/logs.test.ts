import t from 'tap'
import type { LogOptions } from '../../lib/drivers/driver.js'
import { epochMs, fakeService } from './fake-cluster.js'
import { type FakeWorld, fakeWorld, run } from './fake-world.js'

function world(): FakeWorld {
  const made = fakeWorld()
  const at = new Date(epochMs)
  made.state.services = [fakeService('web')]
  made.state.logs = [
    { task: 'abcdefghijkl.1.7', node: 'm1', stream: 'stdout', at, text: 'hello' },
    { task: 'other', node: 'w1', stream: 'stderr', at, text: 'oh\u001b[31m no' },
  ]
  return made
}

t.test('lines go to the stream they were written to, without control characters', async (t) => {
  const made = world()
  t.equal(await run(made, 'service logs web'), 0)
  t.equal(made.out(), 'web.1@m1 | hello\n')
  t.equal(made.err(), 'other@w1 | oh [31m no\n')
})

t.test('--timestamps begins each line with its time', async (t) => {
  const made = world()
  await run(made, 'task logs web.1 --timestamps')
  t.equal(made.out(), '2026-01-31T12:00:00.000Z abcdefghijkl.1.7@m1 | hello\n')
})

t.test('as JSON every line is one object on stdout', async (t) => {
  const made = world()
  t.equal(await run(made, 'service logs web --format json'), 0)
  const lines = made
    .out()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  t.match(lines, [
    { task: 'abcdefghijkl.1.7', stream: 'stdout', text: 'hello' },
    { stream: 'stderr', text: 'oh\u001b[31m no' },
  ])
  t.equal(made.err(), '')
})

t.test('--follow, --tail and --since reach the call', async (t) => {
  const cases: readonly (readonly [flags: string, options: Partial<LogOptions>])[] = [
    ['', { follow: false }],
    ['-f --tail 5', { follow: true, tail: 5 }],
    ['--since 10m', { since: new Date(epochMs - 600_000) }],
    ['--since 2026-01-30', { since: new Date('2026-01-30') }],
  ]
  for (const [flags, options] of cases) {
    const made = world()
    t.equal(await run(made, `service logs web ${flags}`), 0)
    t.match(made.state.calls.at(-1)?.args[1], options, flags)
  }
})

t.test('Ctrl-C is how following ends: exit 130 without a word', async (t) => {
  const made = world()
  made.state.logLines = async function* () {
    yield* made.state.logs.slice(0, 1)
    made.signal('SIGINT')
    throw new Error('the stream was closed')
  }
  t.equal(await run(made, 'service logs -f web'), 130)
  t.equal(made.err(), '')
})

t.test('a stream that breaks by itself fails', async (t) => {
  const made = world()
  made.state.logLines = async function* () {
    yield* made.state.logs.slice(0, 1)
    throw new Error('the link broke')
  }
  t.equal(await run(made, 'service logs -f web'), 1)
  t.match(made.err(), /the link broke/)
})
