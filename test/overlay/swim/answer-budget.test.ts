import fc from 'fast-check'
import t from 'tap'
import type { NodeId } from '../../../lib/base/ids.js'
import { AnswerBudget } from '../../../lib/overlay/swim/answer-budget.js'

const megabyte = 1024 * 1024

function idOf(number: number): NodeId {
  return number.toString(36).padStart(12, '0') as NodeId
}

/** Asks, and is given the answer if there is one; returns whether. */
function ask(budget: AnswerBudget, asker: NodeId, nowMs: number, sizeBytes: number): boolean {
  const may = budget.mayAnswer(asker, nowMs)
  if (may) budget.spend(asker, sizeBytes)
  return may
}

t.test('whoever asks now and then waits a second and for one answer to each of the others, however much they ask', (t) => {
  const world = fc.record({
    greedy: fc.integer({ min: 1, max: 30 }),
    greedyBytes: fc.integer({ min: 10_000, max: megabyte }),
    sizeBytes: fc.integer({ min: 1_000, max: 300_000 }),
    everyMs: fc.integer({ min: 100, max: 900 }),
  })
  const waited = { mostMs: 0 }
  fc.assert(
    fc.property(world, ({ greedy, greedyBytes, sizeBytes, everyMs }) => {
      const budget = new AnswerBudget()
      const boundMs = 1_000 + (greedy * greedyBytes) / (8 * 1024)
      let sinceMs: number | undefined
      for (let nowMs = 0; nowMs < 10_000; nowMs += 2) {
        for (let at = 1; at <= greedy; at++) ask(budget, idOf(at), nowMs, greedyBytes)
        // It comes when the others have long been at it.
        if (nowMs < 3_000 || nowMs % everyMs > 1) continue
        if (ask(budget, idOf(0), nowMs, sizeBytes)) sinceMs = undefined
        else sinceMs ??= nowMs
        const waitedMs = sinceMs === undefined ? 0 : nowMs - sinceMs
        if (waitedMs > boundMs) return false
        waited.mostMs = Math.max(waited.mostMs, waitedMs)
      }
      return true
    }),
    { numRuns: 50 },
  )
  t.ok(waited.mostMs > 0, 'there was something to wait for')
  t.comment(`${waited.mostMs} ms at most`)
  t.end()
})

t.test('nothing of what there is to give is lost: alone or in a crowd, askers get all of it', (t) => {
  for (const askers of [1, 2, 50, 3_000]) {
    const budget = new AnswerBudget()
    let bytes = 0
    for (let nowMs = 0; nowMs < 10_000; nowMs += 5) {
      for (let at = 0; at < askers; at++) if (ask(budget, idOf(at), nowMs, 100_000)) bytes += 100_000
    }
    const mostBytes = 4 * megabyte + 10_000 * 8 * 1024
    t.ok(bytes > 0.95 * mostBytes && bytes < 1.1 * mostBytes, `${askers} askers got ${bytes} of ${mostBytes}`)
  }
  t.end()
})

t.test('one that has had everything waits behind one that had nothing', (t) => {
  const budget = new AnswerBudget()
  const [first, second] = [idOf(1), idOf(2)]
  let given = 0
  while (ask(budget, first, 0, 100_000)) given += 100_000
  t.ok(given > 3.9 * megabyte, 'alone it may have all')
  t.notOk(ask(budget, second, 0, 100_000), 'then there is nothing left')
  t.notOk(ask(budget, first, 20, 100_000), 'and of what comes')
  t.ok(ask(budget, second, 20, 100_000), 'the other one is given first')
  t.equal(budget.leftOpen, 3)
  t.end()
})
