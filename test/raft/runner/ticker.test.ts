import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { deferred } from '../../../lib/base/deferred.js'
import { Ticker } from '../../../lib/raft/runner/ticker.js'
import { processClock } from '../../../lib/raft/system.js'

function busy(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

t.test('after a stall one tick passes, the others are counted as missed', async (t) => {
  let ticks = 0
  const { promise, resolve } = deferred()
  const ticker = new Ticker(processClock, 10, () => {
    ticks++
    if (ticks === 1) busy(105)
    else resolve()
  })
  t.teardown(() => ticker.stop())
  ticker.start()
  await promise
  t.equal(ticks, 2)
  t.ok(ticker.missed >= 8, String(ticker.missed))
})

t.test('what is in the sockets is read before a tick that came due meanwhile', async (t) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const { connect } = await import('node:net')
  const client = connect((address as { port: number }).port, '127.0.0.1')
  t.teardown(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [Socket]
  const order: string[] = []
  const { promise, resolve } = deferred()
  const ticker = new Ticker(processClock, 20, () => {
    order.push('tick')
    resolve()
  })
  t.teardown(() => ticker.stop())
  socket.on('data', () => order.push('data'))
  ticker.start()
  client.write('heartbeat')
  busy(60)
  await promise
  t.same(order, ['data', 'tick'])
})

t.test('n ticks last at least n - 2 periods, however the event loop is kept busy: promises are counted in ticks', async (t) => {
  const periodMs = 20
  const at: number[] = []
  const { promise, resolve } = deferred()
  const ticker = new Ticker(processClock, periodMs, () => {
    at.push(performance.now())
    // Stalls of every length, in timers before ours, in the poll phase and after it.
    busy((at.length * 7) % 45)
    if (at.length % 3 === 0) setTimeout(() => busy(33), 1)
    if (at.length === 60) resolve()
  })
  t.teardown(() => ticker.stop())
  ticker.start()
  await promise
  for (const n of [3, 5, 10, 20]) {
    const shortest = Math.min(...at.slice(n - 1).map((end, from) => end - (at[from] as number)))
    // Timers are good to a millisecond each.
    t.ok(shortest >= (n - 2) * (periodMs - 1), `${n} ticks in ${(shortest / periodMs).toFixed(2)} periods`)
  }
})
