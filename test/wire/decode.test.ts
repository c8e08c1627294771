import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import * as wire from '../../lib/wire/index.js'

const task = wire.object({
  id: wire.string,
  slot: wire.natural,
  state: wire.oneOf('new', 'running'),
  log: wire.optional(wire.bytes),
  parts: wire.array(wire.object({ size: wire.integer })),
})

t.test('a good value is read, unknown keys left out, missing optional ones too', async (t) => {
  const read = wire.read(task, { id: 'a', slot: 0, state: 'new', parts: [{ size: -1, more: 1 }], extra: true, log: null })
  t.strictSame(read, { id: 'a', slot: 0, state: 'new', parts: [{ size: -1 }] })
})

const good = { id: 'a', slot: 1, state: 'new', parts: [{ size: 1 }] }
const faults: readonly (readonly [value: unknown, path: string, expected: RegExp])[] = [
  [null, 'task', /an object, got nothing/],
  [[], 'task', /an object, got an array of 0/],
  [{ ...good, id: 5 }, 'task.id', /a string, got number 5/],
  [{ ...good, slot: -1 }, 'task.slot', /an integer from 0/],
  [{ ...good, slot: 2 ** 53 }, 'task.slot', /safe integer/],
  [{ ...good, slot: 1.5 }, 'task.slot', /safe integer/],
  [{ ...good, state: 'gone' }, 'task.state', /one of new, running, got "gone"/],
  [{ ...good, log: 'text' }, 'task.log', /bytes/],
  [{ ...good, parts: [{ size: 1 }, { size: 'x'.repeat(99) }] }, 'task.parts[1].size', /a string of 99 characters/],
  [{ ...good, parts: {} }, 'task.parts', /an array/],
]
for (const [value, path, expected] of faults) {
  t.test(`a fault at ${path} (${expected.source}) is named by its path`, async (t) => {
    try {
      wire.read(task, value, 'task')
      t.fail('must be refused')
    } catch (error) {
      t.ok(isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE') && error.detail.path === path, String(error))
      t.match(String(error), expected)
    }
  })
}

t.test('inherited keys are not read as if they were sent', async (t) => {
  t.throws(() => wire.read(wire.object({ constructor: wire.anything, toString: wire.string }), {}), {
    code: 'ERR_SKEIN_BAD_MESSAGE',
  })
})

t.test('a tagged union reads the variant its tag names', async (t) => {
  const message = wire.tagged('type', { ask: wire.object({ term: wire.natural }), yes: wire.object({}) })
  t.strictSame(message({ type: 'ask', term: 3 }, 'm'), { type: 'ask', term: 3 })
  t.throws(() => message({ type: 'ask' }, 'm'), { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: 'm.term' } })
  t.throws(() => message({ type: 'toString' }, 'm'), { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: 'm.type' } })
})

t.test('an array over its bound is refused', async (t) => {
  t.throws(() => wire.array(wire.string, { lengthMax: 1 })(['a', 'b'], 'list'), {
    code: 'ERR_SKEIN_BAD_MESSAGE',
    detail: { path: 'list' },
  })
})

t.test('a record reads every value', async (t) => {
  t.strictSame(wire.record(wire.natural)({ a: 1, b: 2 }, 'r'), { a: 1, b: 2 })
  t.throws(() => wire.record(wire.natural)({ a: 1, b: 'x' }, 'r'), { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: 'r.b' } })
})
