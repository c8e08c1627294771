import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import t from 'tap'
import { WebSocket } from 'ws'
import { deferred } from '../../../lib/base/deferred.js'
import { type Connection, type ConnectionEnd, Switchboard, WsTransport } from '../../../lib/overlay/transport/index.js'
import { systemClock } from '../../../lib/peer/system-world.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { TestAuthority } from '../../../lib/testing/test-authority.js'
import { testTransport } from '../../../lib/testing/transport-suite.js'
import { failure, until } from './support.js'

const never = new AbortController().signal
const authority = await TestAuthority.make()
const server = authority.credentials('manager', 'servingnode0')
const client = authority.credentials('worker', 'diallingnode')

t.test('suites', async (t) => {
  await testTransport(t, {
    name: 'ws',
    open: async () => {
      const transport = new WsTransport({ clock: systemClock })
      return { client: transport, server: transport, listenAddress: '127.0.0.1:0' }
    },
  })
  await testTransport(t, {
    name: 'memory',
    open: async () => {
      const switchboard = new Switchboard(systemClock)
      return { client: switchboard.host('a'), server: switchboard.host('b'), listenAddress: 'b:0' }
    },
  })
})

t.test('ws over IPv6', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('[::1]:0', server, (connection) => connection.destroy()).catch(() => undefined)
  if (listener === undefined) return t.comment('no IPv6 here')
  t.match(listener.address, /^\[::1\]:\d+$/)
  const connection = await transport.dial(listener.address, client, never)
  connection.destroy()
  await listener.close()
})

t.test('sockets that never ask for the upgrade are cut off after the timeout', async (t) => {
  const clock = new ManualClock()
  const listener = await new WsTransport({ clock, upgradeTimeoutMs: 1000 }).listen('127.0.0.1:0', server, () =>
    t.fail('nobody comes'),
  )
  const socket = await tcp(listener.address)
  socket.write('GET / HTTP/1.1\r\n')
  await until(() => clock.pending > 0)
  clock.advance(1000)
  await closed(socket)
  await until(() => listener.turnedAway === 1)
  t.equal(clock.pending, 0)
  await listener.close()
})

t.test(
  'sockets before their upgrade are bounded in number: the oldest goes for the newest, and who is honest comes in',
  async (t) => {
    const accepted = deferred<Connection>()
    const transport = new WsTransport({ clock: systemClock, upgradesMax: 3 })
    const listener = await transport.listen('127.0.0.1:0', server, (connection) => accepted.resolve(connection))
    const idle = [await tcp(listener.address), await tcp(listener.address), await tcp(listener.address)]
    const fourth = await tcp(listener.address)
    await closed(idle[0] as Socket)
    t.equal(listener.turnedAway, 1)
    t.notOk(fourth.destroyed)
    const dialled = await transport.dial(listener.address, client, never)
    ;(await accepted.promise).destroy()
    t.equal(listener.turnedAway, 2)
    for (const socket of [...idle, fourth]) socket.destroy()
    await until(() => listener.turnedAway === 4)
    dialled.destroy()
    await listener.close()
  },
)

t.test('a listener with half-open sockets closes', async (t) => {
  const listener = await new WsTransport({ clock: systemClock }).listen('127.0.0.1:0', server, () => t.fail('nobody comes'))
  const socket = await tcp(listener.address)
  await Promise.all([listener.close(), closed(socket)])
})

t.test('a listener that closes leaves no timer behind, however far each connection has come', async (t) => {
  for (let opened = 1; opened <= 20; opened++) {
    const clock = new ManualClock()
    const listener = await new WsTransport({ clock }).listen('127.0.0.1:0', server, (connection) => connection.destroy())
    const sockets = Array.from({ length: opened }, () => tcp(listener.address))
    const gaveUp = new AbortController()
    const dialling = new WsTransport({ clock: systemClock }).dial(listener.address, client, gaveUp.signal)
    const dialled = dialling.then((connection) => connection.destroy())
    for (let turn = 0; turn < opened; turn++) await setImmediate()
    const closing = listener.close()
    const refused = await Promise.allSettled(sockets)
    for (const socket of refused) if (socket.status === 'fulfilled') socket.value.destroy()
    gaveUp.abort()
    await Promise.allSettled([dialled])
    await closing
    t.equal(clock.pending, 0)
  }
})

t.test('a stranger learns that TLS is spoken, and nothing else: no certificate, no name, no word', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('127.0.0.1:0', server, () => t.fail('nobody comes'))
  const port = Number(listener.address.split(':')[1])
  for (const servername of [undefined, 'localhost', `${'0'.repeat(32)}.skein`, authority.cluster]) {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...(servername && { servername }) })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    t.equal(error.code, 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', `asking for ${servername}`)
    t.notOk(socket.getPeerX509Certificate())
  }
  const old = tlsConnect({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    servername: server.serverName,
  })
  t.match(
    await once(old, 'error'),
    [{ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' }],
    'TLS 1.2 is refused even to who knows the name',
  )
  t.equal(listener.turnedAway, 5)
  await listener.close()
})

t.test('no session is resumed: whoever comes again shows its certificate again', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('127.0.0.1:0', server, () => undefined)
  const port = Number(listener.address.split(':')[1])
  const dial = async (session: Buffer | undefined): Promise<TLSSocket> => {
    const secureContext = client.context()
    const socket = tlsConnect({
      ...{ host: '127.0.0.1', port, rejectUnauthorized: false, servername: client.serverName, secureContext },
      ...(session && { session }),
    })
    await once(socket, 'secureConnect')
    return socket
  }
  const first = await dial(undefined)
  const tickets: Buffer[] = []
  first.on('session', (session: Buffer) => tickets.push(session))
  const answered = once(first, 'data') // what comes after the tickets
  first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await answered
  t.notOk(first.isSessionReused())
  t.ok(tickets.length > 0, 'TLS itself hands out tickets')
  for (const ticket of tickets) {
    const isReused = await dial(ticket).then(
      (again) => {
        again.destroy()
        return again.isSessionReused()
      },
      () => false, // the handshake fails: no context of sessions is kept
    )
    t.notOk(isReused)
  }
  first.destroy()
  await listener.close()
})

t.test('a browser, another protocol and junk are turned away, and nobody crashes', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('127.0.0.1:0', server, () => t.fail('nobody comes'))
  await t.rejects(fetch(`http://${listener.address}/`), 'no HTTP without TLS')
  await t.rejects(fetch(`https://${listener.address}/`))
  const tls = { rejectUnauthorized: false, servername: client.serverName }
  const other = new WebSocket(`wss://${listener.address}`, 'chat', tls)
  t.match(await once(other, 'error'), [/426/])
  const plain = httpsGet(`https://${listener.address}/`, tls)
  const [response] = (await once(plain, 'response')) as [IncomingMessage]
  t.equal(response.statusCode, 426)
  response.resume()
  const junk = await tcp(listener.address)
  junk.write(Buffer.alloc(1000, 7))
  await closed(junk)
  await listener.close()
})

t.test('a listener whose owner has no certificate yet takes nobody, and says nothing of another cluster', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('127.0.0.1:0', authority.newcomer(), () => t.fail('nobody comes'))
  t.match(await failure(transport.dial(listener.address, client, never)), { code: 'ERR_SKEIN_UNREACHABLE' })
  await listener.close()
})

t.test('a certificate replaced under a listener is what the next one sees; connections that are open stay', async (t) => {
  const mine = authority.credentials('manager', 'servingnode0')
  const transport = new WsTransport({ clock: systemClock })
  const taken: Connection[] = []
  const listener = await transport.listen('127.0.0.1:0', mine, (connection) => taken.push(connection))
  const first = await transport.dial(listener.address, client, never)
  const { own } = authority.credentials('manager', 'servingnode0').state
  mine.replace({ own })
  const second = await transport.dial(listener.address, client, never)
  t.strictSame(Buffer.from(second.certificate ?? []), Buffer.from(own?.certificate ?? []))
  t.notSame(Buffer.from(first.certificate ?? []), Buffer.from(own?.certificate ?? []))
  await until(() => taken.length === 2)
  const arrived = deferred<Uint8Array>()
  taken[0]?.open({ message: arrived.resolve, drained: () => undefined, closed: () => undefined })
  first.send(Uint8Array.of(7))
  t.strictSame([...(await arrived.promise)], [7])
  for (const connection of [first, second, ...taken]) connection.destroy()
  await listener.close()
})

t.test('a frame over the bound ends the connection', async (t) => {
  const accepted = deferred<Connection>()
  const transport = new WsTransport({ clock: systemClock })
  const listener = await transport.listen('127.0.0.1:0', server, (connection) => accepted.resolve(connection))
  const dialled = await transport.dial(listener.address, client, never)
  const end = deferred<ConnectionEnd>()
  ;(await accepted.promise).open({ message: () => t.fail('too large'), drained: () => undefined, closed: end.resolve })
  dialled.open({ message: () => undefined, drained: () => undefined, closed: () => undefined })
  dialled.send(new Uint8Array(1_000_000))
  t.match(await end.promise, { reason: /payload/i })
  await listener.close()
})

t.test('a dial to something that is not skein says so', async (t) => {
  const transport = new WsTransport({ clock: systemClock })
  t.match(await failure(transport.dial('nonsense', client, never)), { code: 'ERR_SKEIN_INVALID_OPTION' })
  t.match(await failure(transport.listen('no port', server, () => undefined)), { code: 'ERR_SKEIN_INVALID_OPTION' })
  t.match(await failure(transport.listen('203.0.113.1:0', server, () => undefined)), { code: 'ERR_SKEIN_INVALID_OPTION' })
})

t.test('memory: what is sent over a cut waits and arrives when it is healed', async (t) => {
  const clock = new ManualClock()
  const board = new Switchboard(clock)
  const accepted = deferred<Connection>()
  const listener = await board.host('b').listen('b:1', server, (connection) => accepted.resolve(connection))
  const dialling = board.host('a').dial('b:1', client, never)
  clock.advance(0)
  const dialled = await dialling
  const arrived: number[] = []
  dialled.open({ message: () => undefined, drained: () => undefined, closed: () => undefined })
  ;(await accepted.promise).open({
    message: ([byte]) => arrived.push(byte as number),
    drained: () => undefined,
    closed: () => undefined,
  })
  await Promise.resolve()
  board.cut('b', 'a')
  dialled.send(Uint8Array.of(1))
  clock.advance(60_000)
  t.strictSame(arrived, [])
  t.equal(dialled.bufferedBytes, 1)
  board.heal('a', 'b')
  clock.advance(0)
  t.strictSame(arrived, [1])
  board.delay('a', 'b', 100)
  dialled.send(Uint8Array.of(2))
  clock.advance(99)
  t.strictSame(arrived, [1])
  clock.advance(1)
  t.strictSame(arrived, [1, 2])
  dialled.destroy()
  clock.advance(100)
  await listener.close()
})

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })
}

async function tcp(address: string): Promise<Socket> {
  const [host, port] = address.split(':')
  const socket = connect({ host: host as string, port: Number(port) })
  // A reset is as good an end as any here.
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'connect')
  return socket
}
