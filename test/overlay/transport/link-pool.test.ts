import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { WebSocket } from 'ws'
import { SkeinError } from '../../../lib/base/errors.js'
import { type Link, LinkPool, type RpcContext, Switchboard, WsTransport } from '../../../lib/overlay/transport/index.js'
import { systemClock } from '../../../lib/peer/system-world.js'
import { Credentials } from '../../../lib/security/index.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { channels, framesOf } from '../../../lib/wire/index.js'
import {
  authority,
  cluster,
  eventOf,
  failure,
  type HostWishes,
  makeHost,
  networks,
  Pools,
  random,
  stranger,
  until,
} from './support.js'

const smaller = '000000000aaa'
const larger = 'zzzzzzzzzzzz'
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Issued that long ago. */
const issuedAgo = (agoMs: number): Credentials => authority.credentials('manager', larger, { issuedMs: Date.now() - agoMs })

/** A certificate of another cluster, shown by somebody who was told the name to ask for: a token's bearer, say. */
function disguised(): Credentials {
  const { own } = stranger.credentials('manager', larger).state
  return new Credentials({ own, trust: authority.trust }, () => Date.now())
}

const quick = { redial: { firstMs: 5, maxMs: 20 } }

for (const network of networks()) {
  t.test(network.name, async (t) => {
    t.test('a link is known by node id at both ends, and down is told at both', async (t) => {
      const pools = new Pools(t, network)
      const [serverHost, clientHost] = [makeHost(), makeHost({ role: 'worker' })]
      const server = await pools.listen('server', serverHost)
      const client = pools.client('client', clientHost)
      const up = eventOf(server, 'up')
      const link = await client.dial(server.address)
      t.match(await up, { node: clientHost.node, identity: { role: 'worker', cluster } })
      t.match(link.identity, { node: serverHost.node, role: 'manager', cluster, key: /^[0-9a-f]{64}$/ })
      t.equal(client.link(serverHost.node), link)
      const downs = Promise.all([eventOf(server, 'down'), eventOf(client, 'down')])
      link.close('enough')
      const [atServer, atClient] = await downs
      t.match(atServer, { node: clientHost.node, evidence: 'closed', reason: 'enough' })
      t.match(atClient, { node: serverHost.node, evidence: 'closed' })
      t.equal(client.link(serverHost.node), undefined)
      t.equal((await link.ended).evidence, 'closed')
    })

    const refusals: readonly (readonly [words: string, dialler: HostWishes, code: string, admit?: SkeinError])[] = [
      ['a certificate that expired', { credentials: issuedAgo(91 * dayMs) }, 'ERR_SKEIN_BAD_CERTIFICATE'],
      ['a certificate not yet valid', { credentials: issuedAgo(-25 * hourMs) }, 'ERR_SKEIN_BAD_CERTIFICATE'],
      ['another cluster that knows our name', { credentials: disguised() }, 'ERR_SKEIN_OTHER_CLUSTER'],
      ['a removed node', {}, 'ERR_SKEIN_REMOVED', new SkeinError('ERR_SKEIN_REMOVED', 'removed', { node: 'x' })],
    ]
    for (const [words, wishes, code, admit] of refusals) {
      t.test(`${words} is ${code} at both ends`, async (t) => {
        const pools = new Pools(t, network)
        const server = await pools.listen('server', makeHost({ admit: () => admit }))
        const refused = eventOf(server, 'refused')
        const error = await failure(pools.client('client', makeHost(wishes)).dial(server.address))
        t.match(error, { code })
        t.match(await refused, { error: { code } })
        t.equal(server.counters.refused, 1)
      })
    }

    t.test('a newer wire version is ERR_SKEIN_WIRE_VERSION at both ends', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost())
      const refused = eventOf(server, 'refused')
      const client = pools.client('client', makeHost(), { versions: { min: 2, max: 2 } })
      t.match(await failure(client.dial(server.address)), { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 2, theirs: 1 } })
      t.match(await refused, { error: { code: 'ERR_SKEIN_WIRE_VERSION', detail: { ours: 1, theirs: 2 } } })
    })

    t.test('nobody at the address is ERR_SKEIN_UNREACHABLE; a taken port is ERR_SKEIN_PORT_IN_USE', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost())
      t.match(await failure(pools.listen('server', makeHost(), { listen: server.address })), { code: 'ERR_SKEIN_PORT_IN_USE' })
      await server.stop()
      t.match(await failure(pools.client('client', makeHost()).dial(server.address)), {
        code: 'ERR_SKEIN_UNREACHABLE',
        detail: { address: server.address },
      })
    })

    t.test('dialling oneself is refused', async (t) => {
      const server = await new Pools(t, network).listen('server', makeHost())
      t.match(await failure(server.dial(server.address)), { code: 'ERR_SKEIN_PRECONDITION', message: /itself/ })
    })

    t.test('clients have no id, may be many, and call', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen(
        'server',
        makeHost({ handlers: { 'control.who': async (_params, { identity }) => identity.role } }),
      )
      for (let index = 0; index < 3; index++) {
        const link = await pools.client(`client${index}`, makeHost({ role: 'operator' })).dial(server.address)
        t.equal(await link.call('control.who', null), 'operator')
      }
    })

    t.test('a raft frame arrives with its sender, in order, also a large one', async (t) => {
      const pools = new Pools(t, network)
      const serverHost = makeHost()
      const clientHost = makeHost()
      const server = await pools.listen('server', serverHost)
      const client = pools.client('client', clientHost)
      await client.dial(server.address)
      for (const size of [1, 300_000, 2]) t.ok(client.sendRaft(serverHost.node, new Uint8Array(size)))
      await until(() => serverHost.frames.length === 3)
      t.strictSame(
        serverHost.frames.map(({ from, frame }) => [from, frame.length]),
        [1, 300_000, 2].map((size) => [clientHost.node, size]),
      )
      t.notOk(client.sendRaft('nobodynobody', Uint8Array.of(1)))
      t.notOk(client.sendRaft(serverHost.node, new Uint8Array(channels.raft.maxBytes + 1)), 'over the bound')
      t.equal(client.counters.dropped, 1)
    })

    t.test('a kept peer is linked again after it restarted, and calls wait for it', async (t) => {
      const pools = new Pools(t, network)
      const handlers = { 'control.ping': async () => 'pong' }
      const first = await pools.listen('server', makeHost({ node: larger, handlers }))
      const client = pools.client('client', makeHost({ node: smaller }), quick)
      client.keep(larger, first.address)
      t.equal(await client.call(larger, 'control.ping', null), 'pong')
      const missed = eventOf(client, 'missed')
      const down = eventOf(client, 'down')
      await first.stop()
      t.match(await down, { node: larger, evidence: 'closed', reason: 'stopped' })
      t.match(await missed, { node: larger, evidence: 'refused', error: { code: 'ERR_SKEIN_UNREACHABLE' } })
      const call = client.call(larger, 'control.ping', null)
      await pools.listen('server', makeHost({ node: larger, handlers }), { listen: first.address })
      t.equal(await call, 'pong')
    })

    t.test('a kept peer that moved is dialled at its new address', async (t) => {
      const pools = new Pools(t, network)
      const gone = await pools.listen('server', makeHost())
      await gone.stop()
      const client = pools.client('client', makeHost(), { redial: { firstMs: 1e6, maxMs: 1e6 } })
      const missed = eventOf(client, 'missed')
      client.keep(larger, gone.address)
      await missed
      const server = await pools.listen('server', makeHost({ node: larger }))
      const up = eventOf(client, 'up')
      client.keep(larger, server.address)
      t.equal((await up).node, larger)
    })

    t.test('somebody else at a kept address is not taken for the peer', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost({ node: larger }))
      const client = pools.client('client', makeHost(), quick)
      const missed = eventOf(client, 'missed')
      client.keep('somebodyelse', server.address)
      t.match(await missed, { node: 'somebodyelse', error: { code: 'ERR_SKEIN_UNREACHABLE', message: /zzzzzzzzzzzz/ } })
      t.equal(client.link('somebodyelse'), undefined)
    })

    t.test('a forgotten peer is unlinked, not dialled again, and calls to it fail at once', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost({ node: larger }))
      const client = pools.client('client', makeHost(), quick)
      const up = eventOf(client, 'up')
      client.keep(larger, server.address)
      await up
      const down = eventOf(client, 'down')
      client.forget(larger)
      t.match(await down, { reason: 'forgotten' })
      t.match(await failure(client.call(larger, 'control.ping', null)), { code: 'ERR_SKEIN_UNREACHABLE' })
    })

    t.test('a link that two want is held until both have released it, and forgotten whoever wants it', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost({ node: larger }))
      const client = pools.client('client', makeHost(), quick)
      const up = eventOf(client, 'up')
      client.keep(larger, server.address, 'session')
      client.keep(larger, server.address, 'swim')
      await up
      client.release(larger, 'session')
      client.release(larger, 'session')
      t.ok(client.link(larger))
      const down = eventOf(client, 'down')
      client.release(larger, 'swim')
      t.match(await down, { reason: 'forgotten' })
    })

    t.test('a call that waits for a link ends with its deadline, its signal, or the pool', async (t) => {
      const pools = new Pools(t, network)
      const gone = await pools.listen('server', makeHost())
      await gone.stop()
      const client = pools.client('client', makeHost(), quick)
      client.keep(larger, gone.address)
      t.match(await failure(client.call(larger, 'control.ping', null, { deadlineMs: 10 })), { code: 'ERR_SKEIN_UNREACHABLE' })
      const abort = new AbortController()
      const aborted = failure(client.call(larger, 'control.ping', null, { signal: abort.signal }))
      const stopped = failure(client.call(larger, 'control.ping', null))
      abort.abort()
      t.match(await aborted, { code: 'ERR_SKEIN_ABORTED' })
      await client.stop()
      t.match(await stopped, { code: 'ERR_SKEIN_STOPPED' })
      t.match(await failure(client.call(larger, 'control.ping', null)), { code: 'ERR_SKEIN_STOPPED' })
      t.match(await failure(client.dial(gone.address)), { code: 'ERR_SKEIN_STOPPED' })
    })

    t.test('two peers that dial each other keep the same one of two links, without a down, and calls go on', async (t) => {
      for (let round = 0; round < 10; round++) {
        const pools = new Pools(t, network)
        const echo = { 'control.echo': async (params: unknown) => params }
        const a = await pools.listen(`a${round}`, makeHost({ node: smaller, handlers: echo }), quick)
        const b = await pools.listen(`b${round}`, makeHost({ node: larger, handlers: echo }), quick)
        const downs: string[] = []
        for (const pool of [a, b]) pool.observe((event) => event.type === 'down' && downs.push(event.node))
        a.keep(larger, b.address)
        b.keep(smaller, a.address)
        t.equal(await a.call(larger, 'control.echo', 1), 1)
        t.equal(await b.call(smaller, 'control.echo', 2), 2)
        await until(() => a.link(larger)?.side !== b.link(smaller)?.side)
        t.strictSame(downs, [])
        await pools.stop()
      }
    })

    t.test('a second process with the same node id is refused while the first one answers', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost({ handlers: { 'control.ping': async () => 'pong' } }))
      const events: string[] = []
      server.observe(({ type }) => events.push(type))
      const older = await pools.client('one', makeHost({ node: larger })).dial(server.address)
      const copy = pools.client('two', makeHost({ node: larger }))
      await t.rejects(copy.dial(server.address), { code: 'ERR_SKEIN_BUSY' }, 'the older one is asked first')
      t.equal(await older.call('control.ping', null), 'pong')
      await t.rejects(copy.dial(server.address), { code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: larger } })
      t.equal(await older.call('control.ping', null), 'pong', 'and is not disturbed')
      t.strictSame(events, ['up', 'refused', 'refused'])
    })

    t.test('a worker’s key is not enough to take a manager’s place, nor to send raft frames', async (t) => {
      const pools = new Pools(t, network)
      const serverHost = makeHost()
      const server = await pools.listen('server', serverHost)
      const up = eventOf(server, 'up')
      const manager = await pools.client('one', makeHost({ node: larger })).dial(server.address)
      await up
      const impostor = pools.client('two', makeHost({ node: larger, role: 'worker' }))
      t.match(await failure(impostor.dial(server.address)), { code: 'ERR_SKEIN_FORBIDDEN', message: /linked as manager/ })
      t.ok(manager.isUp)
      const worker = await pools.client('three', makeHost({ role: 'worker' })).dial(server.address)
      worker.sendRaft(Uint8Array.of(1))
      t.match(await worker.ended, { evidence: 'closed', reason: /sends no raft frames/ })
      t.equal(serverHost.frames.length, 0)
      t.equal(server.counters.malformed, 1)
    })

    t.test('who was demoted renews while its link as manager is still up, and takes nobody’s place', async (t) => {
      const pools = new Pools(t, network)
      const asks: string[] = []
      const serverHost = makeHost({
        handlers: { 'join.renew': async (_: unknown, { identity }: RpcContext) => void asks.push(identity.role) },
      })
      const server = await pools.listen('server', serverHost)
      const up = eventOf(server, 'up')
      const pool = pools.client('one', makeHost({ node: larger }))
      await pool.dial(server.address)
      await up
      serverHost.credentials.demoted = new Set([larger])
      const again = await pool.dial(server.address, { purpose: 'bulk' })
      await again.call('join.renew', null)
      t.strictSame(asks, ['demoted'])
      t.equal(server.link(larger)?.identity.role, 'manager')
    })

    t.test('more links than the bound are refused with ERR_SKEIN_BUSY', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost(), { linksMax: 2 })
      const first = await pools.client('one', makeHost()).dial(server.address)
      const secondUp = eventOf(server, 'up', ({ node }) => node === larger)
      await pools.client('two', makeHost({ node: larger })).dial(server.address)
      await secondUp
      t.match(await failure(pools.client('three', makeHost()).dial(server.address)), { code: 'ERR_SKEIN_BUSY' })
      const down = eventOf(server, 'down')
      first.close('making room')
      await down
      await first.ended
      await pools.client('four', makeHost()).dial(server.address)
    })

    t.test('newcomers that stay make room for the next one, and take none from members', async (t) => {
      const pools = new Pools(t, network)
      const serverHost = makeHost({ handlers: { 'join.join': async () => 'welcome' } })
      const server = await pools.listen('server', serverHost, { newcomersMax: 3, linksMax: 5 })
      const member = await pools.client('member', makeHost()).dial(server.address)
      const stranger = pools.client('stranger', makeHost({ role: 'newcomer' }))
      const idle: Link[] = []
      for (let each = 0; each < 8; each++) {
        idle.push(await stranger.dial(server.address))
        await idle.at(-4)?.ended
      }
      t.same(
        idle.map(({ isUp }) => isUp),
        [false, false, false, false, false, true, true, true],
      )
      const late = await pools.client('late', makeHost({ role: 'newcomer' })).dial(server.address)
      t.equal(await late.call('join.join', null), 'welcome')
      t.ok(member.isUp)
    })

    t.test('an observer that throws ends the pool with its error', async (t) => {
      const pools = new Pools(t, network)
      const server = await pools.listen('server', makeHost())
      server.observe(() => {
        throw new Error('observer')
      })
      await pools.client('client', makeHost()).dial(server.address)
      t.match(await server.ended, { message: 'observer' })
    })
  })
}

t.test('memory: silence is found out by the keep-alive, and is no evidence of death', async (t) => {
  const board = new Switchboard(systemClock)
  const options = { clock: systemClock, random, keepAliveMs: 5, silentAfterMs: 20, ...quick }
  const server = await LinkPool.listen(makeHost({ node: larger }), { ...options, transport: board.host('b'), listen: 'b:0' })
  const client = LinkPool.client(makeHost({ node: smaller }), { ...options, transport: board.host('a') })
  const up = eventOf(client, 'up')
  client.keep(larger, server.address)
  await up
  const down = eventOf(client, 'down')
  board.cut('a', 'b')
  t.match(await down, { node: larger, evidence: 'silent' })
  const upAgain = eventOf(client, 'up')
  board.heal('a', 'b')
  await upAgain
  await Promise.all([client.stop(), server.stop()])
})

t.test('memory: a congested link drops raft frames and counts them', async (t) => {
  const board = new Switchboard(systemClock)
  const options = { clock: systemClock, random }
  const serverHost = makeHost({ node: larger })
  const server = await LinkPool.listen(serverHost, { ...options, transport: board.host('b'), listen: 'b:0' })
  const client = LinkPool.client(makeHost({ node: smaller }), { ...options, transport: board.host('a') })
  await client.dial(server.address)
  board.cut('a', 'b')
  const sent = Array.from({ length: 12 }, () => client.sendRaft(larger, new Uint8Array(1024 * 1024)))
  t.strictSame(sent, [...Array<boolean>(8).fill(true), ...Array<boolean>(4).fill(false)])
  t.equal(client.counters.dropped, 4)
  board.heal('a', 'b')
  await until(() => serverHost.frames.length === 8)
  t.ok(client.sendRaft(larger, Uint8Array.of(1)))
  await Promise.all([client.stop(), server.stop()])
})

t.test('ws: kill -9 of a peer is `reset`, then `refused`; SIGSTOP is `silent`', async (t) => {
  const peer = spawn(process.execPath, [fileURLToPath(new URL('./peer-process.js', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SKEIN_TEST_NODE: larger, SKEIN_TEST_KEY: authority.keyString('manager', larger) },
  })
  t.teardown(() => peer.kill('SIGKILL'))
  const address = String((await once(peer.stdout, 'data'))[0]).trim()
  const options = { clock: systemClock, random, keepAliveMs: 50, silentAfterMs: 500, ...quick }
  const client = LinkPool.client(makeHost({ node: smaller }), options)
  t.teardown(() => client.stop())
  let up = eventOf(client, 'up')
  client.keep(larger, address)
  await up
  const silent = eventOf(client, 'down')
  peer.kill('SIGSTOP')
  t.match(await silent, { evidence: 'silent' })
  up = eventOf(client, 'up')
  peer.kill('SIGCONT')
  await up
  const dead = eventOf(client, 'down')
  const refused = eventOf(client, 'missed', ({ evidence }) => evidence === 'refused')
  peer.kill('SIGKILL')
  t.match(await dead, { evidence: 'reset' })
  await refused
})

t.test('ws: connections that never finish the handshake are ended by the timeout, and bounded in number', async (t) => {
  const pools = new Pools(t, {
    name: 'ws',
    transport: () => new WsTransport({ clock: systemClock }),
    listen: () => '127.0.0.1:0',
  })
  const clock = new ManualClock()
  const server = await pools.listen('server', makeHost(), { clock, handshakesMax: 3, handshakeTimeoutMs: 1000 })
  const idle = Array.from({ length: 3 }, () => rawSocket(server.address))
  const ends = idle.map((socket) => once(socket, 'close'))
  await Promise.all(idle.map((socket) => once(socket, 'message')))
  const fourth = rawSocket(server.address)
  await once(fourth, 'close')
  t.equal(server.counters.crowdedOut, 1)
  clock.advance(1000)
  await Promise.all(ends)
  t.equal(server.counters.refused, 3)
  const link = await pools.client('client', makeHost()).dial(server.address)
  t.ok(link.isUp)
})

t.test('ws: junk from a stranger or from a peer ends that connection, is counted, and hurts nobody else', async (t) => {
  const pools = new Pools(t, {
    name: 'ws',
    transport: () => new WsTransport({ clock: systemClock }),
    listen: () => '127.0.0.1:0',
  })
  const serverHost = makeHost({ handlers: { 'control.ping': async () => 'pong' } })
  const server = await pools.listen('server', serverHost)
  const link = await pools.client('good', makeHost()).dial(server.address)
  const sentByStrangers = fc.sample(fc.uint8Array({ maxLength: 300 }), 60)
  for (const bytes of sentByStrangers) {
    const socket = rawSocket(server.address)
    await once(socket, 'open')
    socket.send(bytes)
    await once(socket, 'close')
  }
  t.equal(server.counters.refused, 60)
  const hello = Buffer.from([...Buffer.from('skein'), 1, 1])
  for (const bytes of fc.sample(fc.uint8Array({ maxLength: 300 }), 60)) {
    const socket = rawSocket(server.address)
    await once(socket, 'open')
    socket.send(framesOf(0, channels.control, hello)[0] as Uint8Array)
    socket.send(framesOf(1, channels.control, bytes)[0] as Uint8Array)
    await once(socket, 'close')
  }
  t.equal(server.counters.refused, 120)
  t.equal(await link.call('control.ping', null), 'pong')
})

t.test('ws: mutated frames after the handshake end the link or do nothing; the peer comes back', async (t) => {
  const pools = new Pools(t, {
    name: 'ws',
    transport: () => new WsTransport({ clock: systemClock }),
    listen: () => '127.0.0.1:0',
  })
  const serverHost = makeHost({ node: larger, handlers: { 'control.echo': async (params) => params } })
  const server = await pools.listen('server', serverHost)
  const spoil: { next: ((frame: Uint8Array) => Uint8Array) | undefined } = { next: undefined }
  const inner = new WsTransport({ clock: systemClock })
  const transport = {
    listen: inner.listen.bind(inner),
    dial: async (address: string, credentials: Credentials, signal: AbortSignal) => {
      const connection = await inner.dial(address, credentials, signal)
      const send = connection.send.bind(connection)
      connection.send = (frame) => {
        const change = spoil.next
        spoil.next = undefined
        send(change?.(frame) ?? frame)
      }
      return connection
    },
  }
  const client = pools.client('client', makeHost({ node: smaller }), { transport, ...quick })
  client.keep(larger, server.address)
  t.equal(await client.call(larger, 'control.echo', 'up'), 'up')
  const changes = fc.sample(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), 100)
  for (const change of changes) {
    spoil.next = (frame) => {
      const changed = Uint8Array.from(frame)
      for (const [at, byte] of change) changed[at % changed.length] = byte
      return changed
    }
    // The call may be answered, refused, lost or never understood; what counts is that the next one works.
    await failure(client.call(larger, 'control.echo', { some: ['value', 1] }, { deadlineMs: 30 }))
    spoil.next = undefined
    const echo = () => client.call(larger, 'control.echo', 'after')
    // The first may still be caught by the end of the spoilt link.
    t.equal(await echo().catch(echo), 'after')
  }
  t.ok(server.counters.malformed > 20, `${server.counters.malformed} of 100 ended the link`)
})

t.test('ws: after stop nothing is left open', async (t) => {
  const before = openHandles()
  const server = await LinkPool.listen(makeHost({ node: larger }), { clock: systemClock, random, listen: '127.0.0.1:0' })
  const client = LinkPool.client(makeHost({ node: smaller }), { clock: systemClock, random, ...quick })
  const up = Promise.all([eventOf(client, 'up'), eventOf(server, 'up')])
  client.keep(larger, server.address)
  await up
  client.keep('nobodynobody', '127.0.0.1:1')
  const dialling = failure(client.dial(server.address))
  const idle = connect(Number(server.address.split(':')[1]), '127.0.0.1')
  idle.on('error', () => undefined).resume()
  await once(idle, 'connect')
  await Promise.all([client.stop(), server.stop(), client.stop()])
  await dialling
  idle.destroy()
  await until(() => openHandles() <= before)
  t.equal(await client.ended, undefined)
})

/** Somebody who knows the cluster's name, and how WebSocket goes, and no more. */
function rawSocket(address: string): WebSocket {
  const options = { rejectUnauthorized: false, servername: authority.newcomer().serverName }
  return new WebSocket(`wss://${address}`, 'skein.v1', options)
}

t.test('a bulk link stands beside the main one, is nobody’s news, and goes alone', async (t) => {
  const [ws] = networks()
  const pools = new Pools(t, ws as ReturnType<typeof networks>[number])
  const handlers = { 'control.purpose': async (_: unknown, { link }: RpcContext) => (link as Link).purpose }
  const server = await pools.listen('server', makeHost({ node: larger, handlers }))
  const client = pools.client('client', makeHost({ node: smaller }))
  const up = eventOf(server, 'up')
  const main = await client.dial(server.address)
  await up
  const news: string[] = []
  server.observe(({ type }) => news.push(type))
  const bulk = await client.dial(server.address, { purpose: 'bulk' })
  t.not(bulk, main)
  t.equal(client.link(larger), main)
  t.equal(await bulk.call('control.purpose', null), 'bulk')
  t.equal(await main.call('control.purpose', null), 'all')
  bulk.close('sent')
  await bulk.ended
  t.equal(await main.call('control.purpose', null), 'all')
  t.strictSame(news, [])
})

t.test('a newcomer with a token reaches join verbs and nothing else, and checks the root before it says a word', async (t) => {
  const [ws] = networks()
  const pools = new Pools(t, ws as ReturnType<typeof networks>[number])
  const server = await pools.listen('server', makeHost({ node: larger, handlers: { 'control.echo': async () => 1 } }))
  const newcomer = pools.client('client', makeHost({ role: 'newcomer' }))
  const link = await newcomer.dial(server.address)
  t.match(link.identity, { node: larger, role: 'manager', cluster })
  t.match(await failure(link.call('control.echo', null)), { code: 'ERR_SKEIN_FORBIDDEN', message: /join first/ })
  t.match(await failure(link.call('join.join', null)), { code: 'ERR_SKEIN_UNKNOWN_METHOD' }, 'that one it may')
  // Somebody in the middle, who has the name from the wire and a certificate of its own making.
  const impostor = new Credentials({ own: stranger.credentials('manager', larger).state.own, trust: authority.trust }, Date.now)
  const trap = await pools.listen('trap', makeHost({ node: larger, credentials: impostor }))
  const said = await failure(newcomer.dial(trap.address))
  t.match(said, { code: 'ERR_SKEIN_BAD_CERTIFICATE', detail: { reason: 'unknown-root' } })
})

function openHandles(): number {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout|Server|Socket/.test(kind)).length
}
