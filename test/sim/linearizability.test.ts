import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import {
  checkHistory,
  formatHistory,
  type HistoryVerdict,
  type Operation,
  parseHistory,
  type Value,
} from '../../lib/sim/linearizability/index.js'

type Times = readonly [invokeUs: number, returnUs: number]

const put = (client: string, value: Value, [invokeUs, returnUs]: Times): Operation => ({
  client,
  op: 'put',
  key: 'k',
  value,
  ok: true,
  invokeUs,
  returnUs,
})
const get = (client: string, value: Value, times: Times): Operation => ({ ...put(client, value, times), op: 'get' })
const cas = (client: string, from: Value, value: Value, times: Times): Operation => ({
  ...put(client, value, times),
  op: 'cas',
  from,
})
const mismatch = (...args: Parameters<typeof cas>): Operation => ({ ...cas(...args), ok: false })
const unknown = (operation: Operation): Operation => ({ ...operation, ok: null, returnUs: null })

function violation(verdict: HistoryVerdict): Extract<HistoryVerdict, { outcome: 'violated' }> {
  if (verdict.outcome !== 'violated') throw new Error(`expected a violation, got ${verdict.outcome}`)
  return verdict
}

t.test('a register that does one thing at a time is linearizable', async (t) => {
  const history = [
    get('a', null, [0, 1]),
    put('a', 'x', [2, 3]),
    get('b', 'x', [4, 5]),
    cas('b', 'x', 'y', [6, 7]),
    mismatch('a', 'x', 'z', [8, 9]),
    get('a', 'y', [10, 11]),
  ]
  t.match(checkHistory(history), { outcome: 'linearizable', operations: 6, keys: 1 })
})

t.test('what overlaps may happen in either order, but everybody sees the same one', async (t) => {
  const writes = [put('a', 'x', [0, 10]), put('b', 'y', [0, 10])]
  t.equal(checkHistory([...writes, get('c', 'x', [11, 12])]).outcome, 'linearizable')
  t.equal(checkHistory([...writes, get('c', 'y', [11, 12])]).outcome, 'linearizable')
  t.equal(checkHistory([...writes, get('c', 'x', [11, 12]), get('d', 'y', [13, 14])]).outcome, 'violated')
})

t.test('a stale read is refused, and the witness names it', async (t) => {
  const { witness, key, history } = violation(
    checkHistory([put('a', 'old', [0, 1]), put('a', 'new', [2, 3]), get('b', 'old', [4, 5]), get('b', 'new', [6, 7])]),
  )
  t.equal(key, 'k')
  t.equal(history.length, 3, 'what came after the stale read is no part of the story')
  t.match(witness, /the key holds "new"/)
  t.match(witness, /client b: get → "old"\n\s+it needs "old", written by client a at 0\.000000 s/)
})

t.test('a write that was acknowledged and is gone is refused', async (t) => {
  t.equal(checkHistory([put('a', 'x', [0, 1]), get('b', null, [2, 3])]).outcome, 'violated')
  t.equal(
    checkHistory([put('a', 'x', [0, 3]), get('b', 'x', [1, 2]), get('b', null, [4, 5])]).outcome,
    'violated',
    'seen once, then gone',
  )
})

t.test('a value that nobody wrote is refused', async (t) => {
  const { witness } = violation(checkHistory([put('a', 'x', [0, 1]), get('b', 'ghost', [2, 3])]))
  t.match(witness, /it needs "ghost", which nobody has written/)
  t.equal(
    checkHistory([{ ...put('a', 'x', [0, 1]), ok: false, refused: 'no quorum' }, get('b', 'x', [2, 3])]).outcome,
    'violated',
    'nor may a refused write take effect',
  )
})

t.test('two compare-and-sets cannot both succeed from one value', async (t) => {
  t.equal(checkHistory([put('a', 'x', [0, 1]), cas('a', 'x', 'y', [2, 5]), cas('b', 'x', 'z', [2, 5])]).outcome, 'violated')
  t.equal(
    checkHistory([put('a', 'x', [0, 1]), cas('a', 'x', 'y', [2, 5]), mismatch('b', 'x', 'z', [2, 5])]).outcome,
    'linearizable',
  )
  t.equal(
    checkHistory([put('a', 'x', [0, 1]), mismatch('b', 'x', 'z', [2, 5])]).outcome,
    'violated',
    'refused although it matched',
  )
})

t.test('an unknown outcome may take effect late, once, or never; not before it was asked for', async (t) => {
  const write = unknown(put('a', 'x', [0, 1]))
  const late = [write, put('b', 'y', [2, 3]), get('b', 'y', [4, 5])]
  t.equal(checkHistory(late).outcome, 'linearizable', 'never')
  t.equal(checkHistory([...late, get('b', 'x', [100, 101])]).outcome, 'linearizable', 'late')
  t.equal(
    checkHistory([...late, get('b', 'x', [100, 101]), put('b', 'z', [102, 103]), get('b', 'x', [104, 105])]).outcome,
    'violated',
    'not twice',
  )
  t.equal(checkHistory([get('b', 'x', [0, 1]), unknown(put('a', 'x', [2, 3]))]).outcome, 'violated', 'not before')
})

t.test('unknown compare-and-sets may build on each other', async (t) => {
  const chain = [unknown(cas('a', 'x', 'y', [2, 3])), unknown(cas('b', 'y', 'z', [2, 3])), put('c', 'x', [0, 1])]
  t.equal(checkHistory([...chain, get('d', 'z', [9, 10])]).outcome, 'linearizable')
  t.equal(checkHistory([...chain, get('d', 'z', [9, 10]), get('d', 'y', [11, 12])]).outcome, 'violated')
  t.equal(
    checkHistory([put('c', 'x', [0, 1]), unknown(put('a', 'y', [2, 3])), mismatch('d', 'x', 'w', [4, 5])]).outcome,
    'linearizable',
    'only an unknown write explains that it did not match',
  )
})

t.test('of several bad keys the shortest story is told', async (t) => {
  const long = [put('a', 'x', [0, 1]), put('a', 'y', [2, 3]), put('a', 'z', [4, 5]), get('a', 'x', [6, 7])]
  const short = [get('a', 'ghost', [0, 1])].map((operation) => ({ ...operation, key: 'short' }))
  t.equal(violation(checkHistory([...long, ...short])).key, 'short')
})

t.test('a history survives its file; a bad line is refused by its number', async (t) => {
  const history = [
    put('a', 'x', [0, 1]),
    unknown(cas('a', null, 7, [2, 3])),
    { ...get('b', null, [4, 5]), ok: false, refused: 'why' },
  ]
  t.same(parseHistory(`${formatHistory(history)}\n`), history)
  const line = JSON.stringify(history[0])
  const bad: readonly [string, string][] = [
    ['not json', 'line'],
    ['7', 'line'],
    [line.replace('"put"', '"push"'), 'op'],
    [line.replace('"a"', 'null'), 'client'],
    [line.replace('"k"', '7'), 'key'],
    [line.replace('"x"', '["x"]'), 'value'],
    [line.replace('"value"', '"from":1,"value"'), 'from'],
    [line.replace('true', '"yes"'), 'ok'],
    [line.replace('true', 'null'), 'returnUs'],
    [line.replace('"returnUs":1', '"returnUs":-1'), 'returnUs'],
    [line.replace('"returnUs":1', '"returnUs":null'), 'returnUs'],
    [line.replace('"invokeUs":0', '"invokeUs":"0"'), 'invokeUs'],
    [line.replace('"ok"', '"refused":"why","ok"'), 'refused'],
  ]
  for (const [text, field] of bad) {
    t.throws(
      () => parseHistory(`${line}\n${text}\n`),
      { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: `line 2: ${field}` } },
      text,
    )
  }
  t.throws(() => checkHistory(history, { statesMax: 0 }), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'statesMax' } })
})

// --- against chance

type Act = { readonly kind: 'put' | 'get' | 'cas'; readonly guess: number; readonly unknownOutcome: boolean }

/**
 * A real register, and clients whose operations overlap: each takes effect at one random moment of its own, and some callers never
 * learn the outcome. Values are unique with `unique`, else few and often equal.
 */
function recordRegister(seed: number, clients: number, operations: number, values: 'unique' | 'few', keys = 1): Operation[] {
  const random = seededRandom(seed)
  const holds = new Map<string, Value>()
  const freeAtUs = Array.from({ length: clients }, () => random() * 10)
  const plans = Array.from({ length: operations }, (_, number) => {
    const client = Math.floor(random() * clients)
    const invokeUs = Math.floor((freeAtUs[client] as number) + random() * 5)
    const effectUs = invokeUs + random() * 20
    const returnUs = Math.ceil(effectUs + random() * 20)
    const act: Act = {
      kind: (['put', 'get', 'cas'] as const)[Math.floor(random() * 3)] as Act['kind'],
      guess: random(),
      unknownOutcome: random() < 0.1,
    }
    // Whoever does not learn the outcome goes on at once; the effect may come long after.
    freeAtUs[client] = returnUs + 1
    const lateUs = act.unknownOutcome ? effectUs + random() * 200 : effectUs
    return {
      number,
      client,
      key: `k${Math.floor(random() * keys)}`,
      invokeUs,
      effectUs: lateUs,
      returnUs,
      act,
      happens: !act.unknownOutcome || random() < 0.5,
    }
  })
  const written: Value[] = [null]
  return plans
    .sort((a, b) => a.effectUs - b.effectUs)
    .flatMap(({ number, client, key, invokeUs, returnUs, act, happens }): Operation[] => {
      const now = holds.get(key) ?? null
      const value = values === 'unique' ? `v${number}` : number % 3
      const times = act.unknownOutcome ? { ok: null, invokeUs, returnUs: null } : { ok: true, invokeUs, returnUs }
      const head = { client, key, ...times }
      if (act.kind === 'get') return [{ ...head, op: 'get', value: act.unknownOutcome ? null : now }]
      if (act.kind === 'put') {
        if (happens) holds.set(key, value)
        written.push(value)
        return [{ ...head, op: 'put', value }]
      }
      const from = act.guess < 0.5 ? now : (written[Math.floor(act.guess * written.length)] as Value)
      if (from === now && happens) {
        holds.set(key, value)
        written.push(value)
      }
      return [{ ...head, op: 'cas', from, value, ok: act.unknownOutcome ? null : from === now }]
    })
    .sort((a, b) => a.invokeUs - b.invokeUs)
}

const fewRuns = { numRuns: 300 }
const anySeed = fc.integer({ min: 0, max: 2 ** 31 - 1 })

t.test('whatever an atomic register answered is accepted', async (t) => {
  const property = fc.property(
    anySeed,
    fc.integer({ min: 1, max: 8 }),
    fc.constantFrom('unique', 'few'),
    (seed, clients, values) => {
      return checkHistory(recordRegister(seed, clients, 120, values, 2)).outcome === 'linearizable'
    },
  )
  t.doesNotThrow(() => fc.assert(property, fewRuns))
})

t.test('with one read changed to what it can never have been, it is refused', async (t) => {
  const property = fc.property(
    anySeed,
    fc.integer({ min: 1, max: 8 }),
    fc.nat(),
    fc.boolean(),
    (seed, clients, which, isGhost) => {
      const history = recordRegister(seed, clients, 80, 'unique')
      const reads = history.filter(({ op, ok }) => op === 'get' && ok === true)
      const victim = reads[which % Math.max(1, reads.length)]
      fc.pre(victim !== undefined)
      // Either a value nobody wrote, or one whose write had not been asked for when the read ended.
      const later = history.find(({ op, ok, invokeUs }) => op === 'put' && ok === true && invokeUs > (victim?.returnUs ?? 0))
      const value = isGhost || later === undefined ? 'ghost' : later.value
      const verdict = checkHistory(history.map((each) => (each === victim ? { ...each, value } : each)))
      return verdict.outcome === 'violated' && verdict.key === 'k0' && verdict.witness.includes(`get → ${JSON.stringify(value)}`)
    },
  )
  t.doesNotThrow(() => fc.assert(property, fewRuns))
})

t.test('on tiny histories it says what trying every order says', async (t) => {
  const operation = fc
    .record({
      client: fc.constant('c'),
      op: fc.constantFrom('put' as const, 'get' as const, 'cas' as const),
      key: fc.constant('k'),
      from: fc.constantFrom(null, 1, 2),
      value: fc.constantFrom(null, 1, 2),
      ok: fc.constantFrom(true, true, true, false, null),
      invokeUs: fc.integer({ min: 0, max: 9 }),
      lengthUs: fc.integer({ min: 0, max: 6 }),
    })
    .map(({ op, from, ok, invokeUs, lengthUs, ...rest }): Operation => {
      return { ...rest, op, ...(op === 'cas' && { from }), ok, invokeUs, returnUs: ok === null ? null : invokeUs + lengthUs }
    })
  const counts = { linearizable: 0, violated: 0 }
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
      const expected = hasOrder(history, null) ? 'linearizable' : 'violated'
      counts[expected]++
      return checkHistory(history).outcome === expected
    }),
    { numRuns: 10_000 },
  )
  t.ok(Math.min(counts.linearizable, counts.violated) > 1_000, `both answers were met: ${JSON.stringify(counts)}`)
})

/** Tries every order of every choice of what took effect. */
function hasOrder(left: readonly Operation[], holds: Value): boolean {
  const due = left.filter(({ ok, op }) => ok === true || (ok === false && op === 'cas'))
  if (due.length === 0) return true
  return left.some((next) => {
    if (due.some(({ returnUs }) => returnUs !== null && returnUs < next.invokeUs)) return false
    const rest = left.filter((other) => other !== next)
    const { op, ok, from, value } = next
    if (op === 'get') return ok === true && value === holds && hasOrder(rest, holds)
    if (op === 'cas' && ok === false) return from !== holds && hasOrder(rest, holds)
    if (ok === false || (op === 'cas' && from !== holds)) return false
    return hasOrder(rest, value)
  })
}

t.test('ten thousand operations on ten keys take few steps', async (t) => {
  const verdict = checkHistory(recordRegister(7, 12, 10_000, 'unique', 10))
  t.equal(verdict.outcome, 'linearizable')
  t.ok(verdict.states < 50_000, `about one step per operation: ${verdict.states}`)
})

t.test('a search that would not end is given up as undecided', async (t) => {
  // Eleven writes at once, and reads after them that no order explains.
  const writes = Array.from({ length: 11 }, (_, at) => put(`w${at}`, at, [0, 10]))
  const reads = [get('r', 3, [11, 12]), get('r', 'ghost', [13, 14])]
  t.match(checkHistory([...writes, ...reads], { statesMax: 100 }), { outcome: 'undecided', keys: ['k'] })
  t.equal(checkHistory([...writes, ...reads]).outcome, 'violated', 'with more patience it is decided')
})
