import fc from 'fast-check'
import t from 'tap'
import { canAdvance, isTerminal, parseTaskId, rank, taskId, taskStates } from '../../lib/model/index.js'

t.test('states are ordered: no two can each follow the other, and none follows itself', async (t) => {
  for (const from of taskStates) {
    for (const to of taskStates) t.equal(canAdvance(from, to) && canAdvance(to, from), false, `${from} and ${to}`)
  }
  t.ok(rank('remove') > rank('rejected'))
})

t.test('exactly what comes after running has ended', async (t) => {
  t.same(
    taskStates.filter((state) => !isTerminal(state)),
    ['new', 'pending', 'assigned', 'accepted', 'preparing', 'ready', 'starting', 'running'],
  )
})

t.test('a task id says its parts and nothing else is one', async (t) => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[0-9a-z]{12}$/),
      fc.integer({ min: 1, max: 999_999_999 }),
      fc.nat(999_999_999),
      (service, slot, generation) => {
        const parts = parseTaskId(taskId({ service, slot, generation }))
        return parts?.service === service && parts.slot === slot && parts.generation === generation
      },
    ),
  )
  for (const none of ['', 'web.1', 'web.1.1', 'service00001.1', 'service00001.1.1.1', 'service00001.-1.1', 'SERVICE00001.1.1']) {
    t.equal(parseTaskId(none), undefined, none)
  }
})
