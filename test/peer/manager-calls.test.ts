import t from 'tap'
import type { LinkEvent } from '../../lib/overlay/transport/index.js'
import { managerCalls } from '../../lib/peer/manager-calls.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

function world() {
  const clock = new ManualClock()
  const links = new Set<string>()
  const observers = new Set<(event: LinkEvent) => void>()
  const calls = managerCalls(
    {
      link: (node) => (links.has(node) ? ({} as never) : undefined),
      observe: (observer) => {
        observers.add(observer)
        return () => observers.delete(observer)
      },
      call: async () => undefined,
      async *stream(node) {
        if (!links.has(node)) throw new Error('there is no link')
        yield 'a line'
      },
    },
    clock,
  )
  const read = async (signal: AbortSignal): Promise<unknown[]> => {
    const lines: unknown[] = []
    for await (const line of calls.remoteLogs('w', 'task', { follow: false } as never, signal)) lines.push(line)
    return lines
  }
  const up = (node: string): void => {
    links.add(node)
    for (const observer of [...observers]) observer({ type: 'up', node, identity: {} as never, side: 'acceptor' })
  }
  return { clock, observers, read, up }
}
const never = new AbortController().signal

t.test('lines are asked for at once over a link there is', async (t) => {
  const { up, read, clock } = world()
  up('w')
  t.same(await read(never), ['a line'])
  t.equal(clock.pending, 0)
})

t.test('the link of a worker that follows a new leader is waited for, not for ever, and leaves nothing behind', async (t) => {
  const { up, read, clock, observers } = world()
  const reading = read(never)
  await new Promise(setImmediate)
  up('another')
  up('w')
  t.same(await reading, ['a line'])
  t.equal(clock.pending + observers.size, 0)

  const lost = world()
  const failing = t.rejects(lost.read(never), { message: /no link/ })
  await new Promise(setImmediate)
  lost.clock.advance(1_500)
  await failing

  const left = world()
  const over = new AbortController()
  const ending = t.rejects(left.read(over.signal), { message: /no link/ })
  await new Promise(setImmediate)
  over.abort()
  await ending
  t.equal(left.clock.pending + left.observers.size, 0)
})
