import fc from 'fast-check'
import t from 'tap'
import { EventQueue } from '../../lib/sim/event-queue.js'

t.test('events come in the order of their times, and of their scheduling where times are equal', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(5)), (delays) => {
      const queue = new EventQueue<number>()
      for (const [order, delay] of delays.entries()) queue.after(delay, order)
      const expected = [...delays.keys()].sort((a, b) => delays[a]! - delays[b]! || a - b)
      t.same(drain(queue), expected)
    }),
  )
  t.end()
})

t.test('hastened events keep their order and come no later than asked', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.nat(20), (delays, delayMax) => {
      const queue = new EventQueue<number>()
      const twin = new EventQueue<number>()
      for (const [order, delay] of delays.entries()) {
        queue.after(delay, order)
        twin.after(delay, order)
      }
      queue.hasten(delayMax)
      t.same(drain(queue), drain(twin))
      t.ok(queue.now <= delayMax)
    }),
  )
  t.end()
})

t.test('an event scheduled at the present moment comes after those already due then', (t) => {
  const queue = new EventQueue<string>()
  queue.after(1, 'first')
  queue.after(1, 'second')
  t.equal(queue.next(), 'first')
  queue.after(0, 'third')
  t.same(drain(queue), ['second', 'third'])
  t.equal(queue.next(), undefined)
  t.end()
})

function drain<Event>(queue: EventQueue<Event>): Event[] {
  const events: Event[] = []
  for (let event = queue.next(); event !== undefined; event = queue.next()) events.push(event)
  return events
}
