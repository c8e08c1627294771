import t from 'tap'
import type { Assigned } from '../../../lib/drivers/driver.js'
import { type InlineFunction, inlineDriver } from '../../../lib/drivers/index.js'
import { type DriverCommands, testDriver } from '../../../lib/testing/driver-suite.js'
import { assigned } from '../task.js'

const never = new AbortController().signal

const functions: Record<string, InlineFunction> = {
  async sleep({ signal, log }) {
    log('ready')
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  },
  async ignoreStop({ log }) {
    log('ready')
    await new Promise(() => {})
  },
  async exit({ args }) {
    return Number(args[0])
  },
  async print({ args, log, error }) {
    for (const { stream, text } of JSON.parse(args[0] ?? '[]')) stream === 'stderr' ? error(text) : log(text)
  },
  async flood({ args, log }) {
    log('ready')
    for (let i = 0; i < Number(args[0]); i++) log('0'.repeat(Number(args[1])))
  },
  async printEnv({ args, env, log }) {
    log(env[args[0] ?? ''] ?? '')
  },
}

const commands: DriverCommands = {
  sleep: ['sleep'],
  ignoreStop: ['ignoreStop'],
  exit: (code) => ['exit', `${code}`],
  print: (lines) => ['print', JSON.stringify(lines)],
  flood: (lines, lineBytes) => ['flood', `${lines}`, `${lineBytes}`],
  printEnv: (name) => ['printEnv', name],
  missing: ['nobody-wrote-this'],
}

testDriver(t, { name: 'inline', make: () => inlineDriver({ functions }), commands, logBytesMax: 512 * 1024 })

t.test('a missing function is refused, naming those there are', async (t) => {
  await t.rejects(inlineDriver({ functions: { b: async () => {}, a: async () => {} } }).prepare(task('c'), never), {
    code: 'ERR_SKEIN_TASK_REJECTED',
    message: 'no function "c"; this node has: a, b',
  })
  await t.rejects(inlineDriver({ functions: {} }).prepare(task('toString'), never), {
    message: 'no function "toString"; this node has none',
  })
})

t.test('a throw is exit code 1 with its reason, also one before the first await', async (t) => {
  const later = async (): Promise<void> => {
    await Promise.resolve()
    throw new Error('later')
  }
  const atOnce = (): Promise<void> => {
    throw new Error('at once')
  }
  for (const [work, why] of [
    [later, 'later'],
    [atOnce, 'at once'],
  ] as const) {
    const unit = await inlineDriver({ functions: { work } }).prepare(task('work'), never)
    await unit.start(never)
    t.same(await unit.wait(), { code: 1, why })
  }
})

t.test('a result that is no exit code is a failure that says so', async (t) => {
  for (const odd of [1.5, -1, 256, Number.NaN]) {
    const unit = await inlineDriver({ functions: { work: async () => odd } }).prepare(task('work'), never)
    await unit.start(never)
    t.match(await unit.wait(), { code: 1, why: /the function returned/ })
  }
})

t.test('a function knows who it is and what it was called with', async (t) => {
  let seen: unknown
  const work: InlineFunction = async ({ args, env, task }) => {
    seen = { args, env, task }
  }
  const unit = await inlineDriver({ functions: { work } }).prepare(task('work', 'x', 'y'), never)
  await unit.start(never)
  await unit.wait()
  t.same(seen, { args: ['x', 'y'], env: {}, task: { id: 'web.3.1', service: 'web', slot: '3' } })
})

t.test('a function that fails after it was abandoned does not harm the host', async (t) => {
  let fail: ((error: Error) => void) | undefined
  let context: Parameters<InlineFunction>[0] | undefined
  const work: InlineFunction = (given) => {
    context = given
    return new Promise<void>((_, reject) => {
      fail = reject
    })
  }
  const unit = await inlineDriver({ functions: { work } }).prepare(task('work'), never)
  await unit.start(never)
  await unit.stop(1)
  t.same(await unit.wait(), { code: 137, why: 'did not stop within its grace' })
  let unhandled = 0
  const count = (): void => void unhandled++
  process.on('unhandledRejection', count)
  t.teardown(() => process.off('unhandledRejection', count))
  fail?.(new Error('long after'))
  context?.log('also long after')
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(unhandled, 0)
  t.same(await unit.wait(), { code: 137, why: 'did not stop within its grace' })
})

function task(...command: string[]): Assigned {
  return assigned({ driver: 'inline', command })
}
