import t from 'tap'
import { type Deferred, deferred } from '../../lib/base/deferred.js'
import { Confirmations, type DialFinding } from '../../lib/dispatcher/confirmations.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

function world(found: DialFinding | Deferred<DialFinding>) {
  const clock = new ManualClock()
  const dialled: string[] = []
  const refused: string[] = []
  const confirmations = new Confirmations({
    clock,
    dial: async (address) => {
      dialled.push(address)
      return typeof found === 'string' ? found : await found.promise
    },
    address: (node) => (node === 'unknown' ? undefined : `${node}:1`),
    refused: (node) => refused.push(node),
  })
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  }
  return { clock, dialled, refused, confirmations, pass }
}

t.test('who is refused is named once, and not asked about again', async (t) => {
  const { confirmations, dialled, refused, pass, clock } = world('refused')
  confirmations.ask('a', 500)
  confirmations.ask('a', 500)
  confirmations.ask('unknown', 500)
  await pass(499)
  t.same(dialled, [], 'a process that dies closes its links before its port')
  await pass(1)
  await pass(5_000)
  t.same(dialled, ['a:1'])
  t.same(refused, ['a'])
  t.equal(clock.pending, 0)
})

t.test('where somebody answers it is asked again, three times in all; silence is not asked again', async (t) => {
  const accepting = world('accepting')
  accepting.confirmations.ask('a', 500)
  for (let asked = 0; asked < 10; asked++) await accepting.pass(500)
  t.equal(accepting.dialled.length, 3)
  const silent = world('silent')
  silent.confirmations.ask('a', 500)
  for (let asked = 0; asked < 10; asked++) await silent.pass(500)
  t.equal(silent.dialled.length, 1)
  t.same([...accepting.refused, ...silent.refused], [])
})

t.test('an answer that comes after the node was heard counts for nothing', async (t) => {
  const answer = deferred<DialFinding>()
  const { confirmations, dialled, refused, pass } = world(answer)
  confirmations.ask('a', 500)
  await pass(500)
  confirmations.drop('a')
  confirmations.ask('b', 500)
  answer.resolve('refused')
  await pass(0)
  t.same(refused, [])
  confirmations.end()
  await pass(1_000)
  t.same(dialled, ['a:1'])
})

t.test('a thousand links that end together are asked about 64 at a time', async (t) => {
  const answer = deferred<DialFinding>()
  const { confirmations, dialled, refused, pass } = world(answer)
  for (let node = 0; node < 1_000; node++) confirmations.ask(`n${node}`, 500)
  await pass(500)
  t.equal(dialled.length, 64)
  answer.resolve('refused')
  await pass(0)
  for (let turn = 0; refused.length < 1_000 && turn < 1_000; turn++) await pass(0)
  t.equal(refused.length, 1_000)
})
