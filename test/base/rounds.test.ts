import t from 'tap'
import { Rounds } from '../../lib/base/rounds.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

t.test('a hundred links are looked at once a period each, by two timers', async (t) => {
  const clock = new ManualClock()
  const rounds = new Rounds(clock, 2_000)
  const looked = new Array<number>(100).fill(0)
  const ends = looked.map((_none, at) => {
    clock.advance(10)
    return rounds.add(() => {
      looked[at] = (looked[at] as number) + 1
    })
  })
  t.equal(clock.pending, 2)
  const before = [...looked]
  clock.advance(20_000)
  t.same(
    looked.map((count, at) => count - (before[at] as number)),
    new Array<number>(100).fill(10),
  )
  for (const end of ends) end()
  t.equal(clock.pending, 0, 'a round without links has no timer')
})

t.test('a link is looked at within a period of its coming, and told when that was due', async (t) => {
  const clock = new ManualClock()
  const rounds = new Rounds(clock, 2_000)
  rounds.add(() => undefined)
  clock.advance(1_500)
  const late: number[] = []
  rounds.add((dueMs) => late.push(clock.now() - dueMs))
  clock.advance(500)
  t.same(late, [0])
  clock.stall(3_000)
  t.same(late, [0, 1_000], 'the process stood still: the look was due a second ago')
  clock.advance(2_000)
  t.same(late.slice(2), [0])
})

t.test('a link that ends while its round goes on is not looked at any more, and its place is taken by another', async (t) => {
  const clock = new ManualClock()
  const rounds = new Rounds(clock, 2_000)
  const looked: string[] = []
  let endSecond = (): void => undefined
  rounds.add(() => {
    looked.push('first')
    endSecond()
  })
  endSecond = rounds.add(() => looked.push('second'))
  clock.advance(2_000)
  t.same(looked, ['first'])
  rounds.add(() => looked.push('third'))
  t.equal(clock.pending, 1)
  clock.advance(2_000)
  t.same(looked, ['first', 'first', 'third'])
})
