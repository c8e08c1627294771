import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { MemoryDatagrams } from '../../../lib/overlay/datagram/index.js'
import {
  type Connection,
  type ConnectionEnd,
  everybody,
  LinkFaults,
  Switchboard,
  WsTransport,
} from '../../../lib/overlay/transport/index.js'
import { systemClock } from '../../../lib/peer/system-world.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'
import { TestAuthority } from '../../../lib/testing/test-authority.js'
import { testTransport } from '../../../lib/testing/transport-suite.js'
import { until } from './support.js'

const never = new AbortController().signal
const authority = await TestAuthority.make()
const server = authority.credentials('manager', 'servingnode0')
const client = authority.credentials('worker', 'diallingnode')

t.test('without a fault it is the network it stands on', async (t) => {
  await testTransport(t, {
    name: 'ws with faults',
    open: async () => {
      const transport = new LinkFaults().over(new WsTransport({ clock: systemClock }))
      return { client: transport, server: transport, listenAddress: '127.0.0.1:0' }
    },
  })
})

/** What one end heard. */
class Ear {
  readonly heard: number[] = []
  end: ConnectionEnd | undefined

  constructor(connection: Connection) {
    connection.open({
      message: (bytes) => this.heard.push(bytes[0] ?? -1),
      drained: () => undefined,
      closed: (end) => {
        this.end = end
      },
    })
  }
}

/** `here` has the faults, `there` does not. */
async function pair() {
  const faults = new LinkFaults()
  const clock = new ManualClock()
  const switchboard = new Switchboard(clock)
  let accepted: Connection | undefined
  const listener = await switchboard.host('there').listen('there:1', server, (connection) => {
    accepted = connection
  })
  const dial = faults.over(switchboard.host('here')).dial('there:1', client, never)
  await pass(clock)
  const here = await dial
  const there = accepted as unknown as Connection
  return { faults, clock, switchboard, listener, here, there, hereHears: new Ear(here), thereHears: new Ear(there) }
}

/** Everything that is under way arrives. */
async function pass(clock: ManualClock): Promise<void> {
  for (let times = 0; times < 5; times++) {
    await turn()
    clock.advance(1)
  }
  await turn()
}

t.test('behind a silence what is sent waits, and arrives in order when it is over', async (t) => {
  const { clock, faults, here, there, hereHears, thereHears } = await pair()
  faults.set('servingnode0', 'silent')
  for (const byte of [1, 2, 3]) here.send(Uint8Array.of(byte))
  for (const byte of [4, 5]) there.send(Uint8Array.of(byte))
  await pass(clock)
  t.same([hereHears.heard, thereHears.heard], [[], []])
  t.equal(here.bufferedBytes, 3, 'and counts as unsent')
  faults.heal('servingnode0')
  await pass(clock)
  t.same(
    [hereHears.heard, thereHears.heard],
    [
      [4, 5],
      [1, 2, 3],
    ],
  )
  here.destroy()
})

t.test('one way only: who is deaf speaks, who is mute hears', async (t) => {
  for (const [fault, isHeard] of [
    ['deaf', { here: false, there: true }],
    ['mute', { here: true, there: false }],
  ] as const) {
    const { clock, faults, here, there, hereHears, thereHears } = await pair()
    faults.set('there:1', fault)
    here.send(Uint8Array.of(1))
    there.send(Uint8Array.of(2))
    await pass(clock)
    t.same({ here: hereHears.heard.length > 0, there: thereHears.heard.length > 0 }, isHeard, fault)
    here.destroy()
  }
})

t.test('who gives up behind a silence is rid of it at once; the other end hears of it when it is over', async (t) => {
  const { clock, faults, here, hereHears, thereHears } = await pair()
  faults.set(everybody, 'silent')
  here.send(Uint8Array.of(1))
  here.destroy()
  await pass(clock)
  await pass(clock)
  t.equal(thereHears.end, undefined)
  faults.heal(everybody)
  await pass(clock)
  t.equal(hereHears.end?.evidence, 'reset')
})

t.test('where it is refused, links are reset and dials fail as where nobody listens', async (t) => {
  const { clock, faults, switchboard, hereHears, thereHears } = await pair()
  faults.set('there:1', 'refused')
  await pass(clock)
  t.same([hereHears.end?.evidence, thereHears.end?.evidence], ['reset', 'reset'])
  const dial = faults.over(switchboard.host('here')).dial('there:1', client, never)
  await t.rejects(dial, { code: 'ERR_SKEIN_UNREACHABLE', cause: { code: 'ECONNREFUSED' } })
})

t.test('one named peer is cut off, the others are not', async (t) => {
  const { clock, faults, here, thereHears } = await pair()
  faults.set('someoneelse0', 'silent')
  here.send(Uint8Array.of(1))
  await pass(clock)
  t.same(thereHears.heard, [1])
  t.equal(faults.of('someoneelse0'), 'silent')
  t.equal(faults.of('servingnode0', 'there:1'), undefined)
  here.destroy()
})

t.test('datagrams of a faulty peer are lost in the directions that its links are', async (t) => {
  for (const [fault, isHeard] of [
    ['silent', { here: false, there: false }],
    ['deaf', { here: false, there: true }],
    ['mute', { here: true, there: false }],
    [undefined, { here: true, there: true }],
  ] as const) {
    const [faults, network] = [new LinkFaults(), new MemoryDatagrams()]
    const [here, there] = [faults.losing(network.bind('here:1')), network.bind('there:1')]
    const heard = { here: false, there: false }
    here.open(() => {
      heard.here = true
    })
    there.open(() => {
      heard.there = true
    })
    if (fault !== undefined) faults.set('there:1', fault)
    here.send('there:1', Uint8Array.of(1))
    there.send('here:1', Uint8Array.of(2))
    network.deliver()
    t.same(heard, isHeard, fault ?? 'no fault')
  }
})

t.test('who tries to connect to a faulty peer finds silence for as long as it waits, or is refused at once', async (t) => {
  const [faults, clock] = [new LinkFaults(), new ManualClock()]
  const trying = faults.trying(async () => 'accepting' as const, clock)
  t.equal(await trying('there:1', 500), 'accepting')
  faults.set('there:1', 'refused')
  t.equal(await trying('there:1', 500), 'refused')
  faults.set('there:1', 'silent')
  let saw: string | undefined
  const tried = trying('there:1', 500).then((answer) => {
    saw = answer
  })
  clock.advance(499)
  await turn()
  t.equal(saw, undefined)
  clock.advance(1)
  await tried
  t.equal(saw, 'silent')
})

t.test('a listener that closes waits for no path that is dead', async (t) => {
  const faults = new LinkFaults()
  const transport = faults.over(new WsTransport({ clock: systemClock }))
  const accepted: Connection[] = []
  const listener = await transport.listen('127.0.0.1:0', server, (connection) => accepted.push(connection))
  const dialled = await new WsTransport({ clock: systemClock }).dial(listener.address, client, never)
  const far = new Ear(dialled)
  await until(() => accepted.length === 1)
  const near = new Ear(accepted[0] as Connection)
  faults.set(everybody, 'silent')
  accepted[0]?.destroy()
  await until(() => near.end !== undefined)
  await listener.close()
  await until(() => far.end !== undefined)
  t.equal(far.end?.evidence, 'reset')
})
