import fc from 'fast-check'
import t from 'tap'
import { SkeinBug } from '../../../lib/base/assert.js'
import { deferred } from '../../../lib/base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../../../lib/base/errors.js'
import { windowBytes } from '../../../lib/overlay/transport/flow.js'
import type { Link, LinkPool, RpcContext, RpcHandler } from '../../../lib/overlay/transport/index.js'
import { decodeRpc, encodeRpc, type RpcMessage } from '../../../lib/overlay/transport/rpc-messages.js'
import { eventOf, failure, type HostWishes, makeHost, type Network, networks, Pools, until } from './support.js'

interface Ends {
  readonly server: LinkPool
  readonly client: LinkPool
  /** From the client to the server. */
  readonly link: Link
  readonly serverNode: string
  readonly clientNode: string
  readonly pools: Pools
}

async function connect(
  t: { teardown(act: () => Promise<void>): void },
  network: Network,
  handlers: Readonly<Record<string, RpcHandler>>,
  dialler: HostWishes = {},
): Promise<Ends> {
  const pools = new Pools(t, network)
  const serverHost = makeHost({ handlers })
  const clientHost = makeHost(dialler)
  const server = await pools.listen('server', serverHost)
  const client = pools.client('client', clientHost)
  const up = clientHost.node === '' ? Promise.resolve() : eventOf(server, 'up')
  const link = await client.dial(server.address)
  await up
  return { server, client, link, serverNode: serverHost.node, clientNode: clientHost.node, pools }
}

const forever = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))

for (const network of networks()) {
  t.test(network.name, async (t) => {
    t.test('a call carries its params there and the answer back, whoever dialled', async (t) => {
      const echo: RpcHandler = async (params, { identity }) => ({ params, from: identity.role })
      const { server, client, serverNode, clientNode } = await connect(
        t,
        network,
        { 'control.echo': echo },
        { handlers: { 'control.echo': echo } },
      )
      const value = { text: 'é', list: [1, null], bytes: Uint8Array.of(1, 2), big: 2 ** 48 }
      t.strictSame(await client.call(serverNode, 'control.echo', value), { params: value, from: 'manager' })
      t.strictSame(await server.call(clientNode, 'control.echo', value), { params: value, from: 'manager' })
    })

    t.test('many calls at once each get their own answer', async (t) => {
      const { link } = await connect(t, network, { 'control.double': async (params) => (params as number) * 2 })
      const answers = await Promise.all(Array.from({ length: 500 }, (_, index) => link.call('control.double', index)))
      t.strictSame(
        answers,
        Array.from({ length: 500 }, (_, index) => index * 2),
      )
    })

    t.test('an answer of many frames arrives whole', async (t) => {
      const { link } = await connect(t, network, { 'control.large': async (size) => new Uint8Array(size as number).fill(5) })
      const answer = (await link.call('control.large', 5_000_000)) as Uint8Array
      t.ok(answer.length === 5_000_000 && answer.every((byte) => byte === 5))
    })

    t.test('an answer over the bound is ERR_SKEIN_TOO_LARGE, and the link lives on', async (t) => {
      const { link } = await connect(t, network, { 'control.large': async (size) => new Uint8Array(size as number) })
      t.match(await failure(link.call('control.large', 17 * 1024 * 1024)), { code: 'ERR_SKEIN_TOO_LARGE' })
      t.match(await failure(link.call('control.large', new Uint8Array(17 * 1024 * 1024))), { code: 'ERR_SKEIN_TOO_LARGE' })
      t.equal(((await link.call('control.large', 3)) as Uint8Array).length, 3)
    })

    t.test('calls under way are bounded by what they weigh: the next large one is refused, a small one is not', async (t) => {
      let underWay = 0
      const { link } = await connect(t, network, {
        'control.hold': async (_params, { signal }) => {
          underWay++
          return await forever(signal)
        },
        'control.echo': async (params) => params,
      })
      const stop = new AbortController()
      const large = new Uint8Array(15 * 1024 * 1024)
      const held: Promise<unknown>[] = []
      for (let calls = 1; calls <= 4; calls++) {
        held.push(failure(link.call('control.hold', large, { signal: stop.signal })))
        await until(() => underWay === calls)
      }
      t.match(await failure(link.call('control.hold', large)), { code: 'ERR_SKEIN_BUSY', detail: { limit: 'bytes of calls' } })
      t.equal(await link.call('control.echo', 1), 1)
      stop.abort()
      await Promise.all(held)
      t.equal(
        ((await link.call('control.echo', large)) as Uint8Array).length,
        large.length,
        'and those that are over count no more',
      )
    })

    t.test('errors arrive with their code, words and detail; other errors as ERR_SKEIN_REMOTE', async (t) => {
      const { link } = await connect(t, network, {
        'control.no': async () => {
          throw new SkeinError('ERR_SKEIN_NOT_LEADER', 'ask another', { leader: 'n2', address: 'b:1' })
        },
        'control.odd': () => {
          throw new TypeError('thrown at once')
        },
      })
      const error = await failure(link.call('control.no', null))
      t.ok(error instanceof SkeinError)
      t.match(error, { code: 'ERR_SKEIN_NOT_LEADER', message: 'ask another', detail: { leader: 'n2', address: 'b:1' } })
      t.match(await failure(link.call('control.odd', null)), {
        code: 'ERR_SKEIN_REMOTE',
        message: 'thrown at once',
        detail: { method: 'control.odd' },
      })
    })

    t.test('an unknown method, a forbidden one and the wrong kind of call are told apart', async (t) => {
      const { link } = await connect(
        t,
        network,
        {
          'agent.one': async () => 1,
          'session.one': async () => 1,
          'session.many': async function* () {
            yield 1
          },
        },
        { role: 'worker' },
      )
      t.match(await failure(link.call('session.nothing', null)), {
        code: 'ERR_SKEIN_UNKNOWN_METHOD',
        detail: { method: 'session.nothing' },
      })
      t.match(await failure(link.call('agent.one', null)), {
        code: 'ERR_SKEIN_FORBIDDEN',
        detail: { role: 'worker', verb: 'agent.one' },
      })
      t.match(await failure(link.call('session.many', null)), { code: 'ERR_SKEIN_PRECONDITION' })
      t.match(await failure(collect(link.stream('session.one', null))), { code: 'ERR_SKEIN_PRECONDITION' })
      t.equal(await link.call('session.one', null), 1)
    })

    t.test('a method added after the link came up can be called', async (t) => {
      const pools = new Pools(t, network)
      const host = makeHost()
      const server = await pools.listen('server', host)
      const link = await pools.client('client', makeHost()).dial(server.address)
      host.handlers.set('control.late', async () => 'yes')
      t.equal(await link.call('control.late', null), 'yes')
    })

    t.test('an aborted call rejects at once and fires the signal of its handler', async (t) => {
      const begun = deferred<RpcContext>()
      const { link } = await connect(t, network, {
        'control.wait': (_params, context) => {
          begun.resolve(context)
          return forever(context.signal)
        },
      })
      const abort = new AbortController()
      const call = failure(link.call('control.wait', null, { signal: abort.signal }))
      const { signal } = await begun.promise
      const fired = new Promise((resolve) => signal.addEventListener('abort', resolve))
      abort.abort(new Error('enough'))
      t.match(await call, { code: 'ERR_SKEIN_ABORTED', cause: { message: 'enough' } })
      await fired
      t.match(await failure(link.call('control.wait', null, { signal: abort.signal })), { code: 'ERR_SKEIN_ABORTED' })
    })

    t.test('a call past its deadline is ERR_SKEIN_TIMEOUT, and its handler is told', async (t) => {
      const fired = deferred<number | undefined>()
      const { link } = await connect(t, network, {
        'control.wait': (_params, { signal, deadlineMs }) => {
          signal.addEventListener('abort', () => fired.resolve(deadlineMs))
          return forever(signal)
        },
      })
      t.match(await failure(link.call('control.wait', null, { deadlineMs: 20 })), {
        code: 'ERR_SKEIN_TIMEOUT',
        detail: { what: 'control.wait', timeoutMs: 20 },
      })
      t.equal(await fired.promise, 20)
    })

    t.test('when the link goes down, calls reject with ERR_SKEIN_LINK_LOST and handlers are told', async (t) => {
      const begun = deferred<AbortSignal>()
      const { link, client } = await connect(t, network, {
        'control.wait': (_params, { signal }) => {
          begun.resolve(signal)
          return forever(signal)
        },
      })
      const call = failure(link.call('control.wait', null))
      const signal = await begun.promise
      const fired = new Promise((resolve) => signal.addEventListener('abort', resolve))
      await client.stop()
      t.match(await call, { code: 'ERR_SKEIN_LINK_LOST' })
      await fired
      t.match(signal.reason, { code: 'ERR_SKEIN_LINK_LOST' })
      t.match(await failure(link.call('control.wait', null)), { code: 'ERR_SKEIN_LINK_LOST' })
    })

    t.test('a stream arrives in order, to its end', async (t) => {
      const { link } = await connect(t, network, {
        'control.count': async function* (to) {
          for (let number = 0; number < (to as number); number++) yield number
        },
      })
      t.strictSame(
        await collect(link.stream('control.count', 1000)),
        Array.from({ length: 1000 }, (_, index) => index),
      )
      t.strictSame(await collect(link.stream('control.count', 0)), [])
    })

    t.test('what a stream sent before its error is read before it', async (t) => {
      const { link } = await connect(t, network, {
        'control.fail': async function* () {
          yield 1
          yield 2
          throw new SkeinError('ERR_SKEIN_SESSION_INVALID', 'gone', { node: 'n' })
        },
      })
      const seen: unknown[] = []
      const error = await failure(
        (async () => {
          for await (const item of link.stream('control.fail', null)) seen.push(item)
        })(),
      )
      t.strictSame(seen, [1, 2])
      t.match(error, { code: 'ERR_SKEIN_SESSION_INVALID' })
    })

    t.test('a reader that leaves ends the stream at its source', async (t) => {
      const left = deferred<AbortSignal>()
      const { link } = await connect(t, network, {
        'control.count': async function* (_params, { signal }) {
          try {
            for (let number = 0; ; number++) {
              yield number
              await new Promise((resolve) => setImmediate(resolve))
            }
          } finally {
            left.resolve(signal)
          }
        },
      })
      for await (const item of link.stream('control.count', null)) if (item === 3) break
      t.ok((await left.promise).aborted)
    })

    t.test('a source that waits for something else is let go by its signal', async (t) => {
      const left = deferred()
      const { link } = await connect(t, network, {
        'control.quiet': async function* (_params, { signal }) {
          yield 'first'
          await forever(signal).catch(() => left.resolve())
        },
      })
      const abort = new AbortController()
      const error = await failure(
        (async () => {
          for await (const _item of link.stream('control.quiet', null, { signal: abort.signal })) abort.abort()
        })(),
      )
      t.match(error, { code: 'ERR_SKEIN_ABORTED' })
      await left.promise
    })

    t.test('a slow reader holds its source back within the window, and other calls pass', async (t) => {
      const item = new Uint8Array(10_000)
      let sent = 0
      const { link } = await connect(t, network, {
        'control.flood': async function* (count) {
          for (; sent < (count as number); sent++) yield item
        },
        'control.ping': async () => 'pong',
      })
      const stream = link.stream('control.flood', 300)[Symbol.asyncIterator]()
      await stream.next()
      for (let round = 0; round < 20; round++) t.equal(await link.call('control.ping', null), 'pong')
      const held = sent
      t.ok(held <= windowBytes / item.length + 2, `${held} items of 10,000 bytes under way`)
      let received = 1
      for (let next = await stream.next(); !next.done; next = await stream.next()) received++
      t.equal(received, 300)
    })

    t.test('a large transfer does not keep raft frames waiting', async (t) => {
      const pools = new Pools(t, network)
      const host = makeHost({
        handlers: {
          'raft.flood': async function* () {
            for (let index = 0; index < 400; index++) yield new Uint8Array(64 * 1024)
          },
        },
      })
      const clientHost = makeHost()
      const server = await pools.listen('server', host)
      const client = pools.client('client', clientHost)
      const up = eventOf(server, 'up')
      const link = await client.dial(server.address)
      await up
      let received = 0
      let receivedAtFrame = -1
      clientHost.onFrame = () => {
        receivedAtFrame = received
      }
      for await (const _chunk of link.stream('raft.flood', null)) {
        if (received === 0) t.ok(server.sendRaft(clientHost.node, Uint8Array.of(1)))
        received++
      }
      t.equal(received, 400)
      t.ok(receivedAtFrame >= 0 && receivedAtFrame < 100, `the frame came after ${receivedAtFrame} of 400 chunks`)
    })

    t.test('a heartbeat and its answer pass calls that carry much, in both directions', async (t) => {
      const { link } = await connect(t, network, {
        'control.copy': async (params) => params,
        'session.beat': async (params) => params,
      })
      let answered = 0
      const large = new Uint8Array(1024 * 1024)
      const copies = Array.from({ length: 30 }, async () => {
        await link.call('control.copy', large)
        answered++
      })
      t.equal(await link.call('session.beat', 'alive', { channel: 'session' }), 'alive')
      t.ok(answered < 10, `it was answered after ${answered} of ${copies.length} large calls`)
      await Promise.all(copies)
    })

    t.test('what is too large to go ahead waits its turn, there and back', async (t) => {
      const { link } = await connect(t, network, {
        'session.size': async (params) => (params as Uint8Array).length,
        'session.grow': async (size) => new Uint8Array(size as number),
        'session.fail': async (size) => {
          throw new Error('x'.repeat(size as number))
        },
      })
      const channel = 'session'
      t.equal(await link.call('session.size', new Uint8Array(100_000), { channel }), 100_000)
      t.equal(((await link.call('session.grow', 100_000, { channel })) as Uint8Array).length, 100_000)
      t.match(await failure(link.call('session.fail', 100_000, { channel })), { code: 'ERR_SKEIN_REMOTE' })
    })

    t.test('chunks sent up arrive whole and in order, cut to 64 KiB, and the answer comes back', async (t) => {
      const { link, client, serverNode } = await connect(t, network, {
        'raft.snapshot': async (params, { chunks }) => {
          let sizeBytes = 0
          let largest = 0
          let sum = 0
          for await (const chunk of chunks) {
            sizeBytes += chunk.length
            largest = Math.max(largest, chunk.length)
            for (const byte of chunk) sum += byte
          }
          return { params, sizeBytes, largest, sum }
        },
      })
      const source = async function* () {
        for (let index = 0; index < 10; index++) yield new Uint8Array(200_000).fill(index)
      }
      const expected = { params: { index: 7 }, sizeBytes: 2_000_000, largest: 65_536, sum: 45 * 200_000 }
      t.strictSame(await client.streamUp(serverNode, 'raft.snapshot', { index: 7 }, source()), expected)
      t.strictSame(await link.streamUp('raft.snapshot', { index: 7 }, source()), expected)
    })

    t.test('a receiver that takes chunks slowly holds the sender back', async (t) => {
      const gate = deferred()
      let made = 0
      const { link } = await connect(t, network, {
        'raft.snapshot': async (_params, { chunks }) => {
          let count = 0
          for await (const _chunk of chunks) if (count++ === 0) await gate.promise
          return count
        },
        'control.ping': async () => 'pong',
      })
      const sending = link.streamUp(
        'raft.snapshot',
        null,
        (async function* () {
          for (; made < 200; made++) yield new Uint8Array(10_000)
        })(),
      )
      for (let round = 0; round < 20; round++) await link.call('control.ping', null)
      t.ok(made <= windowBytes / 10_000 + 2, `${made} chunks made`)
      gate.resolve()
      t.equal(await sending, 200)
    })

    t.test('a handler may answer before it has taken every chunk, and the sender stops', async (t) => {
      const left = deferred()
      const { link } = await connect(t, network, { 'raft.snapshot': async () => 'enough' })
      const source = async function* () {
        try {
          for (;;) yield new Uint8Array(50_000)
        } finally {
          left.resolve()
        }
      }
      t.equal(await link.streamUp('raft.snapshot', null, source()), 'enough')
      await left.promise
    })

    t.test('a source of chunks that fails cancels the call with its own error', async (t) => {
      const told = deferred<unknown>()
      const { link } = await connect(t, network, {
        'raft.snapshot': async (_params, { chunks }) => {
          try {
            for await (const _chunk of chunks);
          } catch (error) {
            told.resolve(error)
          }
        },
      })
      const error = await failure(
        link.streamUp(
          'raft.snapshot',
          null,
          (async function* () {
            yield Uint8Array.of(1)
            throw new Error('disk')
          })(),
        ),
      )
      t.equal(messageOf(error), 'disk')
      t.match(await told.promise, { code: 'ERR_SKEIN_ABORTED' })
    })

    t.test('calls in flight are bounded', async (t) => {
      const { link, client } = await connect(t, network, { 'control.wait': (_params, { signal }) => forever(signal) })
      const waiting = Array.from({ length: 1024 }, () => failure(link.call('control.wait', null)))
      t.match(await failure(link.call('control.wait', null)), { code: 'ERR_SKEIN_BUSY' })
      await client.stop()
      t.match(await waiting[0], { code: 'ERR_SKEIN_LINK_LOST' })
    })

    t.test('a bug in a handler reaches the caller as an error, and ends the pool whose bug it is', async (t) => {
      const { server, link } = await connect(t, network, {
        'control.bug': async () => {
          throw new SkeinBug('never so')
        },
      })
      t.match(await failure(link.call('control.bug', null)), { code: /ERR_SKEIN_(REMOTE|LINK_LOST)/ })
      t.match(await server.ended, { message: 'never so' })
    })
  })
}

t.test('any message comes back from its bytes', async (t) => {
  const messages: readonly RpcMessage[] = [
    { type: 'call', id: 2, mode: 'up', method: 'raft.snapshot', params: { a: [1] }, deadlineMs: 5 },
    { type: 'result', id: 3, value: null },
    { type: 'error', id: 2 ** 40, code: 'ERR_SKEIN_BUSY', message: 'x', detail: {} },
    { type: 'cancel', id: 0 },
    { type: 'item', id: 1, value: Uint8Array.of(1) },
    { type: 'credit', id: 1, grantedBytes: 70_000 },
    { type: 'end', id: 1 },
  ]
  for (const message of messages) t.strictSame(decodeRpc(encodeRpc(message)), message)
})

t.test('mutated messages are read or refused with ERR_SKEIN_BAD_MESSAGE', async (t) => {
  const bytes = encodeRpc({
    type: 'call',
    id: 2,
    mode: 'call',
    method: 'control.listServices',
    params: { a: 1 },
    deadlineMs: 30_000,
  })
  let refused = 0
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
      const changed = Uint8Array.from(bytes)
      for (const [at, byte] of changes) changed[at] = byte
      try {
        decodeRpc(changed)
      } catch (error) {
        if (!isSkeinError(error, 'ERR_SKEIN_BAD_MESSAGE')) throw error
        refused++
      }
    }),
    { numRuns: 2000 },
  )
  t.ok(refused > 100, `${refused} refused`)
})

async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}
