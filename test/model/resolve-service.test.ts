import { posix } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { isSkeinError } from '../../lib/base/errors.js'
import { checkName, replicasMax, resolveServiceSpec } from '../../lib/model/index.js'

const minimal = { name: 'web', task: { command: ['node', 'server.js'] } }

/** What resolving a spec with these changes is refused with. */
function refusal(value: unknown): { readonly path: string; readonly message: string } {
  try {
    resolveServiceSpec(value)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SKEIN_INVALID_SPEC' && 'detail' in error) {
      return { path: (error.detail as { path: string }).path, message: error.message }
    }
    throw error
  }
  throw new Error(`accepted ${JSON.stringify(value)}`)
}

t.test('a minimal spec gets every default, and what was given stays as it was', async (t) => {
  const { spec, resolved } = resolveServiceSpec(minimal)
  t.same(spec, minimal)
  t.not(spec, minimal, 'a copy')
  t.same(resolved, {
    name: 'web',
    labels: {},
    task: {
      driver: 'process',
      command: ['node', 'server.js'],
      env: {},
      workingDir: undefined,
      stopSignal: 'SIGTERM',
      stopGraceMs: 10_000,
      selfFenceAfterMs: undefined,
      reserve: { cpuNanos: 0, memoryBytes: 0 },
      limit: { cpuNanos: undefined, memoryBytes: undefined },
      options: undefined,
      secrets: [],
      configs: [],
      networks: [{ id: 'default', name: 'default' }],
    },
    mode: { replicas: 1 },
    placement: { constraints: [], spread: [], maxPerNode: 0 },
    restart: { when: 'any', delayMs: 5000, attemptsMax: 0, windowMs: 0 },
  })
})

t.test('a full spec is taken as it is, and resolving it again changes nothing', async (t) => {
  const full = {
    name: 'shop_web-1',
    labels: { 'com.example.tier': 'front' },
    task: {
      driver: 'inline',
      command: ['serve'],
      env: { PORT: '0' },
      workingDir: '/srv',
      stopSignal: 'SIGINT',
      stopGraceMs: 0,
      selfFenceAfterMs: 20_000,
      resources: { reserve: { cpus: 0.5, memoryBytes: 2 ** 20 }, limit: { cpus: 1.5, memoryBytes: 2 ** 30 } },
      options: { nested: [1, null, { deep: true }] },
    },
    mode: { replicas: 0 },
    placement: { constraints: ['node.labels.zone == eu', 'node.role!=manager'], spread: ['node.labels.rack'], maxPerNode: 2 },
    restart: { when: 'on-failure', delayMs: 0, attemptsMax: 3, windowMs: 60_000 },
  }
  const { spec, resolved } = resolveServiceSpec(full)
  t.same(spec, full)
  t.same(resolved.task.reserve, { cpuNanos: 500_000_000, memoryBytes: 2 ** 20 })
  t.equal(resolved.task.limit.cpuNanos, 1_500_000_000)
  t.same(resolveServiceSpec(spec).resolved, resolved)
})

t.test('keys that are undefined are as if absent', async (t) => {
  const { spec } = resolveServiceSpec({ ...minimal, mode: undefined, task: { ...minimal.task, env: undefined } })
  t.same(Object.keys(spec), ['name', 'task'])
  t.same(Object.keys(spec.task), ['command'])
})

t.test('every malformed spec is refused naming the key path, what was got and the remedy', async (t) => {
  const task = (more: object) => ({ ...minimal, task: { ...minimal.task, ...more } })
  const cases: readonly (readonly [value: unknown, path: string, words: RegExp])[] = [
    [null, '', /expected an object with the keys name, labels/],
    ['web', '', /got "web"/],
    [[], '', /got an empty list/],
    [new Map(), '', /plain data, got a Map/],
    [{}, 'name', /is missing; add it/],
    [{ name: 'web' }, 'task', /is missing/],
    [{ ...minimal, name: 7 }, 'name', /got 7/],
    [{ ...minimal, name: '-web' }, 'name', /first and last a letter or digit/],
    [{ ...minimal, name: 'a.b' }, 'name', /got "a.b"/],
    [{ ...minimal, name: 'x'.repeat(64) }, 'name', /1 to 63/],
    [{ ...minimal, replicas: 3 }, 'replicas', /unknown key; known keys: name, labels/],
    [task({ commnad: ['x'] }), 'task.commnad', /did you mean command\?/],
    [task({ command: 'node server.js' }), 'task.command', /expected a list of command words, got "node server.js"/],
    [task({ command: ['node', 1] }), 'task.command[1]', /got 1/],
    [task({ command: [] }), 'task.command', /is missing; name what the process driver shall run/],
    [{ name: 'web', task: {} }, 'task.command', /is missing/],
    [task({ command: [' '] }), 'task.command[0]', /got an empty text/],
    [task({ env: ['A=1'] }), 'task.env', /an object of strings, got a list/],
    [task({ env: { A: 1 } }), 'task.env.A', /quote numbers/],
    [task({ env: { 'A=B': 'x' } }), 'task.env.A=B', /without "="/],
    [task({ workingDir: 'srv' }), 'task.workingDir', /absolute path/],
    [task({ stopSignal: 'TERM' }), 'task.stopSignal', /signal name such as SIGTERM/],
    [task({ stopSignal: 'SIGNOPE' }), 'task.stopSignal', /got "SIGNOPE"/],
    [task({ stopGraceMs: -1 }), 'task.stopGraceMs', /from 0 to 86400000 \(milliseconds\), got -1/],
    [
      task({ selfFenceAfterMs: 4_999 }),
      'task.selfFenceAfterMs',
      /from 5000 to 3600000 \(milliseconds without a manager.*got 4999/,
    ],
    [task({ selfFenceAfterMs: 3_600_001 }), 'task.selfFenceAfterMs', /got 3600001/],
    [task({ selfFenceAfterMs: 0 }), 'task.selfFenceAfterMs', /leave it out for a task that runs on/],
    [task({ selfFenceAfterMs: '20s' }), 'task.selfFenceAfterMs', /got "20s"/],
    [task({ stopGraceMs: 1.5 }), 'task.stopGraceMs', /a whole number/],
    [task({ stopGraceMs: '10s' }), 'task.stopGraceMs', /got "10s"/],
    [task({ resources: { limit: { memoryBytes: 4 * 2 ** 20 - 1 } } }), 'task.resources.limit.memoryBytes', /from 4194304/],
    [task({ resources: { limit: { cpus: 0.0005 } } }), 'task.resources.limit.cpus', /from 0.001/],
    [task({ resources: { reserve: { cpus: 0 } } }), 'task.resources.reserve.cpus', /from 0.001/],
    [task({ resources: { limits: {} } }), 'task.resources.limits', /did you mean limit\?/],
    [task({ resources: { reserve: { cpus: 2 }, limit: { cpus: 1 } } }), 'task.resources.limit.cpus', /below resources.reserve/],
    [
      task({ resources: { reserve: { memoryBytes: 2 ** 30 }, limit: { memoryBytes: 2 ** 29 } } }),
      'task.resources.limit.memoryBytes',
      /below/,
    ],
    [task({ options: { run: () => 1 } }), 'task.options.run', /plain data, got a function/],
    [task({ options: Number.NaN }), 'task.options', /finite number/],
    [task({ options: JSON.parse('{"__proto__": 1}') }), 'task.options.__proto__', /not allowed/],
    [{ ...minimal, mode: 'global' }, 'mode', /keys replicas, got "global"/],
    [{ ...minimal, mode: {} }, 'mode.replicas', /is missing/],
    [{ ...minimal, mode: { replicas: replicasMax + 1 } }, 'mode.replicas', /to 100000/],
    [{ ...minimal, mode: { replicas: '3' } }, 'mode.replicas', /got "3"/],
    [{ ...minimal, labels: { 'a b': 'x' } }, 'labels.a b', /label name/],
    [{ ...minimal, placement: { constraints: ['zone eu'] } }, 'placement.constraints[0]', /node.labels.zone == eu/],
    [{ ...minimal, placement: { constraints: ['node.id == '] } }, 'placement.constraints[0]', /constraint like/],
    [{ ...minimal, placement: { spread: ['a == b'] } }, 'placement.spread[0]', /node attribute/],
    [{ ...minimal, placement: { maxPerNode: -1 } }, 'placement.maxPerNode', /got -1/],
    [{ ...minimal, restart: { when: 'always' } }, 'restart.when', /one of any, on-failure, none, got "always"/],
    [{ ...minimal, restart: { attemptsMax: Number.POSITIVE_INFINITY } }, 'restart.attemptsMax', /finite/],
  ]
  for (const [value, path, words] of cases) {
    const got = refusal(value)
    t.equal(got.path, path, got.message)
    t.match(got.message, words)
  }
})

t.test('data that refers to itself is refused, not followed for ever', async (t) => {
  const loop: { self?: unknown } = {}
  loop.self = loop
  t.match(refusal({ ...minimal, task: { ...minimal.task, options: loop } }).message, /refers to itself/)
})

t.test('another driver may do without a command', async (t) => {
  t.same(resolveServiceSpec({ name: 'web', task: { driver: 'docker', options: { image: 'nginx' } } }).resolved.task.command, [])
})

t.test('a name is checked in time that does not grow with its trickiness', async (t) => {
  t.throws(() => checkName(`${'a'.repeat(62)}!`), { code: 'ERR_SKEIN_INVALID_SPEC' })
  for (const good of ['a', 'A1', 'a--b', 'a_-_b', 'x'.repeat(63)]) t.equal(checkName(good), good)
})

t.test('no target of a config leads out of the directory its task is told, or to the place of another', async (t) => {
  const part = fc.constantFrom('a', 'b', '.', '..', '.a', '...', '', 'a b', '-', 'é')
  const target = fc.array(part, { maxLength: 4 }).map((parts) => parts.join('/'))
  let accepted = 0
  fc.assert(
    fc.property(fc.array(target, { minLength: 1, maxLength: 3 }), (targets) => {
      const configs = targets.map((each) => ({ config: 'c', target: each }))
      const found = targetsOf({ ...minimal, task: { ...minimal.task, configs } })
      if (found === undefined) return true
      accepted++
      const places = found.map((each) => posix.resolve('/told', each))
      const isAlone = (place: string) => places.filter((other) => `${other}/`.startsWith(`${place}/`)).length === 1
      return places.every((place) => place.startsWith('/told/') && isAlone(place))
    }),
    { numRuns: 2_000 },
  )
  t.ok(accepted > 50, `${accepted} were accepted`)
})

/** Undefined when the spec is refused. */
function targetsOf(spec: unknown): readonly string[] | undefined {
  try {
    return resolveServiceSpec(spec).resolved.task.configs.map(({ target }) => target)
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_INVALID_SPEC')) return undefined
    throw error
  }
}

t.test('nothing makes it throw anything but its own error', async (t) => {
  fc.assert(
    fc.property(fc.object({ maxDepth: 3 }), fc.constantFrom('task', 'mode', 'labels', 'placement', 'restart'), (value, key) => {
      for (const candidate of [value, { ...minimal, [key]: value }]) {
        try {
          resolveServiceSpec(candidate)
        } catch (error) {
          if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_SKEIN_INVALID_SPEC') return false
        }
      }
      return true
    }),
  )
  t.pass('whatever was given')
})
