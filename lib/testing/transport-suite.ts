import { deferred } from '../base/deferred.js'
import { isSkeinError } from '../base/errors.js'
import { type Connection, type ConnectionEnd, evidenceOf, type Transport } from '../overlay/transport/index.js'
import { bindingBytes, type Credentials, readCertificate } from '../security/index.js'
import type { SuiteTest } from './driver-suite.js'
import { TestAuthority } from './test-authority.js'

export interface TransportSuite {
  readonly name: string
  /** Two ends of one fresh network; `listenAddress` lies at `server`, with port 0. */
  open(): Promise<{ readonly client: Transport; readonly server: Transport; readonly listenAddress: string }>
}

const never = new AbortController().signal

/** What every Transport must do. */
export async function testTransport(t: SuiteTest, { name, open }: TransportSuite): Promise<void> {
  const check = (words: string, body: (t: SuiteTest, pair: Pair) => Promise<void>): PromiseLike<unknown> =>
    t.test(`${name}: ${words}`, async (t) => {
      const { client, server, listenAddress } = await open()
      const pair = await connect(client, server, listenAddress)
      try {
        await body(t, pair)
      } finally {
        pair.dialled.connection.destroy()
        pair.accepted.connection.destroy()
        await pair.listener.close()
      }
    })

  await check('messages arrive whole, in order, both ways, empty ones and large ones too', async (t, { dialled, accepted }) => {
    const sizes = [0, 1, 60_000, 3, 0, 65_000]
    for (const size of sizes) dialled.connection.send(filled(size))
    for (const size of sizes) accepted.connection.send(filled(size))
    for (const end of [accepted, dialled]) {
      const arrived = await end.take(sizes.length)
      t.equal(arrived.map((message) => message.length).join(), sizes.join())
      t.ok(arrived.every((message) => message.every((byte) => byte === message.length % 251)))
    }
  })

  await check('what was sent before the other end listened is not lost', async (t, pair) => {
    const { client, listener } = pair
    const early = await client.dial(listener.address, pair.credentials, never)
    const late = await pair.nextAccepted()
    early.send(filled(7))
    early.send(filled(8))
    const user = new Recorder(early)
    await pair.roundTrip()
    const other = new Recorder(late)
    t.equal((await other.take(2)).map((message) => message.length).join(), '7,8')
    early.destroy()
    await Promise.all([other.ended, user.ended])
  })

  await check(
    'a goodbye arrives after what was sent, with its reason, as `closed` at both ends',
    async (t, { dialled, accepted }) => {
      dialled.connection.send(filled(5))
      dialled.connection.close('had enough')
      t.equal((await accepted.take(1))[0]?.length, 5)
      const end = await accepted.ended
      t.equal(`${end.evidence}: ${end.reason}`, 'closed: had enough')
      t.equal((await dialled.ended).evidence, 'closed')
    },
  )

  await check('each end knows the certificate of the other, and both share a binding', async (t, { dialled, accepted }) => {
    t.equal(idOf(dialled.connection), 'acceptingone')
    t.equal(idOf(accepted.connection), 'diallingnode')
    const [one, other] = [dialled.connection.binding, accepted.connection.binding]
    t.equal(Buffer.from(one).toString('hex'), Buffer.from(other).toString('hex'))
    t.equal(one.length, bindingBytes)
  })

  await check('a binding is of one connection alone', async (t, pair) => {
    const another = await pair.client.dial(pair.listener.address, pair.credentials, never)
    t.ok(Buffer.compare(another.binding, pair.dialled.connection.binding) !== 0)
    const late = await pair.nextAccepted()
    another.destroy()
    late.destroy()
  })

  await check('who has no certificate shows none, and is taken', async (t, pair) => {
    const newcomer = await pair.client.dial(pair.listener.address, pair.authority.newcomer(), never)
    const late = await pair.nextAccepted()
    t.equal(late.certificate, undefined)
    t.equal(idOf(newcomer), 'acceptingone')
    newcomer.destroy()
    late.destroy()
  })

  await check(
    'who asks for another cluster’s name is turned away with ERR_SKEIN_OTHER_CLUSTER',
    async (t, { client, listener }) => {
      const other = (await TestAuthority.make('otherother00')).credentials('manager', 'otherothernd')
      const error = await client.dial(listener.address, other, never).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      t.ok(isSkeinError(error, 'ERR_SKEIN_OTHER_CLUSTER'))
    },
  )

  await check('an end without a goodbye is `reset` at the other end', async (t, { dialled, accepted }) => {
    accepted.connection.destroy()
    t.equal((await dialled.ended).evidence, 'reset')
  })

  await check('sending after the end does nothing', async (t, { dialled, accepted }) => {
    dialled.connection.close('over')
    await Promise.all([dialled.ended, accepted.ended])
    dialled.connection.send(filled(1))
    accepted.connection.send(filled(1))
    t.equal(dialled.count + accepted.count, 0)
  })

  await check('what was sent counts as buffered until it left, and leaving is told', async (t, { dialled, accepted }) => {
    dialled.connection.send(filled(50_000))
    await accepted.take(1)
    await dialled.drained()
    t.equal(dialled.connection.bufferedBytes, 0)
  })

  await check(
    'a closed listener takes nobody, and its address refuses',
    async (t, { client, listener, dialled, accepted, credentials }) => {
      const { address } = listener
      const closed = listener.close()
      dialled.connection.destroy()
      await accepted.ended
      await closed
      const error = await client.dial(address, credentials, never).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      t.ok(isSkeinError(error, 'ERR_SKEIN_UNREACHABLE'))
      t.equal(evidenceOf(error), 'refused')
    },
  )

  await check('an address in use is refused with ERR_SKEIN_PORT_IN_USE', async (t, { server, listener, credentials }) => {
    const error = await server
      .listen(listener.address, credentials, () => undefined)
      .then(
        () => undefined,
        (cause: unknown) => cause,
      )
    t.ok(isSkeinError(error, 'ERR_SKEIN_PORT_IN_USE'))
  })

  await check('an aborted dial rejects with ERR_SKEIN_ABORTED', async (t, { client, listener, credentials }) => {
    const error = await client.dial(listener.address, credentials, AbortSignal.abort()).then(
      () => undefined,
      (cause: unknown) => cause,
    )
    t.ok(isSkeinError(error, 'ERR_SKEIN_ABORTED'))
  })
}

interface Pair {
  readonly client: Transport
  readonly server: Transport
  readonly listener: Awaited<ReturnType<Transport['listen']>>
  readonly dialled: Recorder
  readonly accepted: Recorder
  /** Of the dialling end. */
  readonly credentials: Credentials
  readonly authority: TestAuthority
  nextAccepted(): Promise<Connection>
  /** A message there and one back: whatever was under way before has arrived. */
  roundTrip(): Promise<void>
}

async function connect(client: Transport, server: Transport, listenAddress: string): Promise<Pair> {
  let next = deferred<Connection>()
  const authority = await TestAuthority.make()
  const credentials = authority.credentials('worker', 'diallingnode')
  const accepting = authority.credentials('manager', 'acceptingone')
  const listener = await server.listen(listenAddress, accepting, (connection) => next.resolve(connection))
  const nextAccepted = async (): Promise<Connection> => {
    const connection = await next.promise
    next = deferred()
    return connection
  }
  const dialled = new Recorder(await client.dial(listener.address, credentials, never))
  const accepted = new Recorder(await nextAccepted())
  const roundTrip = async (): Promise<void> => {
    dialled.connection.send(filled(1))
    await accepted.take(1)
    accepted.connection.send(filled(1))
    await dialled.take(1)
  }
  return { client, server, listener, dialled, accepted, credentials, authority, nextAccepted, roundTrip }
}

/** Writes down what a connection tells its user. */
class Recorder {
  readonly connection: Connection
  readonly ended: Promise<ConnectionEnd>
  readonly #messages: Uint8Array[] = []
  #wanted: (() => void) | undefined
  #onDrained: (() => void) | undefined

  constructor(connection: Connection) {
    this.connection = connection
    const end = deferred<ConnectionEnd>()
    this.ended = end.promise
    connection.open({
      message: (bytes) => {
        this.#messages.push(bytes)
        this.#wanted?.()
      },
      drained: () => this.#onDrained?.(),
      closed: (ended) => end.resolve(ended),
    })
  }

  get count(): number {
    return this.#messages.length
  }

  async take(count: number): Promise<Uint8Array[]> {
    while (this.#messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wanted = resolve
      })
    }
    return this.#messages.splice(0, count)
  }

  async drained(): Promise<void> {
    while (this.connection.bufferedBytes > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve
      })
    }
  }
}

function idOf({ certificate }: Connection): string | undefined {
  return certificate && readCertificate(certificate).subject.name
}

function filled(size: number): Uint8Array {
  return new Uint8Array(size).fill(size % 251)
}
