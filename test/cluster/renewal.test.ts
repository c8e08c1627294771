/** Certificates of a running cluster come of age: its calendar goes on, while its timers and links live in the present. */
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import type { Peer, PeerOptions } from '../../lib/index.js'
import { type Connection, type Transport, WsTransport } from '../../lib/overlay/transport/index.js'
import { createPeerOver } from '../../lib/peer/index.js'
import { systemClock } from '../../lib/peer/system-world.js'
import { KeyStore } from '../../lib/security/index.js'
import { JumpingClock } from './jumping-clock.js'
import { eventually, freshDir, quick } from './support.js'

const dayMs = 86_400_000
/** Who waits for longer than this looks at the calendar when the wait is over. */
const longMs = 10 * 60_000

/** A calendar that can be turned: who waits for its hour is woken then, and who waits for seconds is not. */
class Calendar extends JumpingClock {
  readonly #waits = new Set<() => void>()

  override after(delayMs: number, act: () => void): () => void {
    if (delayMs < longMs) return super.after(delayMs, act)
    this.#waits.add(act)
    return () => this.#waits.delete(act)
  }

  turn(byMs: number): void {
    this.jump(byMs)
    const waits = [...this.#waits]
    this.#waits.clear()
    for (const act of waits) act()
  }
}

/** WebSocket, and which connections that were dialled are open. */
class Watched implements Transport {
  readonly open = new Set<Connection>()
  readonly #inner = new WsTransport({ clock: systemClock })
  readonly listen = this.#inner.listen.bind(this.#inner)

  async dial(...args: Parameters<Transport['dial']>): Promise<Connection> {
    const connection = await this.#inner.dial(...args)
    const open = connection.open.bind(connection)
    connection.open = (user) => {
      this.open.add(connection)
      open({
        message: (bytes) => user.message(bytes),
        drained: () => user.drained(),
        closed: (end) => {
          this.open.delete(connection)
          user.closed(end)
        },
      })
    }
    return connection
  }
}

/** Resolves once what is open has been the same for two seconds. */
async function settled(transport: Watched): Promise<ReadonlySet<Connection>> {
  let last = new Set<Connection>()
  let sinceMs = performance.now()
  await eventually('links have settled', async () => {
    const isSame = last.size === transport.open.size && [...last].every((each) => transport.open.has(each))
    if (!isSame) {
      last = new Set(transport.open)
      sinceMs = performance.now()
    }
    return last.size > 0 && performance.now() - sinceMs > 2_000
  })
  return last
}

t.test(
  'certificates are renewed between half and four fifths of their life: no link ends for it, and nobody is missed',
  { timeout: 180_000 },
  async (t) => {
    const calendar = new Calendar()
    const transport = new Watched()
    const dirs: string[] = []
    const start = async (options: PeerOptions): Promise<Peer> => {
      const dir = freshDir(t)
      const peer = await createPeerOver({ clock: calendar, transport }, { dir, timing: quick, ...options })
      t.teardown(() => peer.stop())
      dirs.push(dir)
      return peer
    }
    const first = await start({ name: 'm1' })
    const asWorker = await first.invite('worker')
    const second = await start({ name: 'm2', join: await first.invite('manager') })
    for (const name of ['w1', 'w2']) await start({ name, join: asWorker })
    await eventually('all are ready', async () => (await first.nodes.list()).items.every(({ state }) => state === 'ready'))
    const certificates = async (): Promise<X509Certificate[]> =>
      Promise.all(
        dirs.map(async (dir) => new X509Certificate((await new KeyStore(dir).read(undefined))?.certificate ?? new Uint8Array())),
      )
    const serials = async (): Promise<string[]> => (await certificates()).map(({ serialNumber }) => serialNumber)
    const before = await serials()
    t.equal(new Set(before).size, 4)

    const states: string[] = []
    const over = new AbortController()
    const watching = (async () => {
      for await (const change of first.watch({ kinds: ['node'], signal: over.signal }))
        if (change.type === 'set') states.push((change.object as { state?: string }).state ?? '')
    })()
    const term = (await first.clusterStatus()).term

    calendar.turn(44 * dayMs)
    const links = await settled(transport)
    t.ok(links.size >= 5, `${links.size} links`)
    t.same(await serials(), before, 'none before half of the life is over')

    calendar.turn(29 * dayMs) // past four fifths, for whichever moment chance had drawn
    await eventually('everybody has another one', async () => {
      const now = await serials()
      return now.every((serial, at) => serial !== before[at])
    })
    for (const { validTo } of await certificates()) t.ok(Date.parse(validTo) > calendar.wallMs() + 89 * dayMs, 'of a whole life')
    await settled(transport)
    t.equal([...links].filter((link) => !transport.open.has(link)).length, 0, 'every link there was is there')
    t.equal((await first.clusterStatus()).term, term, 'the same leader')
    over.abort()
    await watching
    t.same(new Set(states.filter((state) => state !== 'ready')), new Set(), 'nobody was missed')

    // The first ones are over by now: what is shown is what was renewed.
    calendar.turn(20 * dayMs)
    const late = await start({ name: 'w3', join: asWorker })
    await late.kv.put('still', 'one cluster')
    t.equal((await second.nodes.list()).items.length, 5)
  },
)

t.test(
  'a cluster that was off until every certificate had ended is there again when its managers are started',
  { timeout: 180_000 },
  async (t) => {
    const calendar = new Calendar()
    const names = ['m1', 'm2', 'm3']
    const dirs = new Map(names.map((name) => [name, freshDir(t)]))
    const addresses = new Map<string, string>()
    const start = async (name: string, join?: string): Promise<Peer> => {
      const listen = addresses.get(name) ?? '127.0.0.1:0'
      const options = { name, dir: dirs.get(name) as string, listen, timing: quick, ...(join !== undefined && { join }) }
      const peer = await createPeerOver({ clock: calendar }, options)
      t.teardown(() => peer.stop())
      addresses.set(name, peer.address)
      return peer
    }
    const first = await start('m1')
    const asManager = await first.invite('manager')
    const peers = [first, await start('m2', asManager), await start('m3', asManager)]
    const workerDir = freshDir(t)
    const asWorker = { name: 'w1', dir: workerDir, timing: quick, join: await first.invite('worker') }
    const worker = await createPeerOver({ clock: calendar }, asWorker)
    t.teardown(() => worker.stop())
    await first.kv.put('kept', 'through the winter')
    for (const peer of [worker, ...peers]) await peer.stop()

    calendar.jump(100 * dayMs)
    const again = await Promise.all(names.map((name) => start(name)))
    const one = again[0] as Peer
    t.equal(Buffer.from((await one.kv.get('kept'))?.value ?? '').toString(), 'through the winter')
    await one.kv.put('kept', 'and the spring')
    await eventually('all are renewed, for good', async () => {
      const kept = await Promise.all(
        [...dirs.values()].map(async (dir) => (await new KeyStore(dir).read(undefined))?.certificate),
      )
      return kept.every(
        (der) => Date.parse(new X509Certificate(der ?? new Uint8Array()).validTo) > calendar.wallMs() + 89 * dayMs,
      )
    })
    // A worker holds nothing that issues certificates: it says so, and its operator joins it again.
    const said: string[] = []
    const hear = (about: object, words: string): number => said.push(`${JSON.stringify(about)} ${words}`)
    const logger = { debug: hear, info: hear, warn: hear, error: hear }
    const over = new AbortController()
    const old = { name: 'w1', dir: workerDir, timing: quick, logger, signal: over.signal }
    const trying = createPeerOver({ clock: calendar }, old).then((peer) => peer.stop(), String)
    const isTold = (words: string): boolean => /\(expired\).*a worker joins again with an empty directory/.test(words)
    await eventually('it says why nobody takes it in', async () => said.some(isTold))
    over.abort()
    await trying
    const options = { name: 'w2', dir: freshDir(t), timing: quick, join: await one.invite('worker') }
    const newcomer = await createPeerOver({ clock: calendar }, options)
    t.teardown(() => newcomer.stop())
    t.equal(newcomer.role, 'worker', 'and takes in newcomers')
  },
)

t.test(
  'while the leader’s clock is ten days ahead nobody is given a certificate that nobody would take; the clock put right, all goes on',
  { timeout: 180_000 },
  async (t) => {
    const [leaders, others] = [new Calendar(), new Calendar()]
    const first = await createPeerOver({ clock: leaders }, { name: 'm1', timing: quick })
    t.teardown(() => first.stop())
    const join = await first.invite('worker')
    const dir = freshDir(t)
    const said: string[] = []
    const hear = (about: object, words: string): number => said.push(`${JSON.stringify(about)} ${words}`)
    const logger = { debug: hear, info: hear, warn: hear, error: hear }
    const worker = await createPeerOver({ clock: others }, { name: 'w1', dir, join, timing: quick, logger })
    t.teardown(() => worker.stop())
    const certificate = async (): Promise<Uint8Array | undefined> => (await new KeyStore(dir).read(undefined))?.certificate
    const before = await certificate()

    leaders.turn(10 * dayMs)
    const day = (clock: Calendar): string => new Date(clock.wallMs()).toISOString().slice(0, 10)
    const names = new RegExp(`a manager whose clock says ${day(leaders)}.*this machine’s clock says ${day(others)}`)
    const joining = createPeerOver({ clock: others }, { name: 'w2', dir: freshDir(t), join, timing: quick })
    await t.rejects(joining, { code: 'ERR_SKEIN_BAD_CERTIFICATE', message: names })

    await first.nodes.promote('w1')
    await eventually('it says why it is no manager', async () => said.some((line) => names.test(line)))
    t.same(await certificate(), before, 'it shows what it had')
    t.equal(worker.role, 'worker')

    leaders.turn(-10 * dayMs)
    await eventually('it is one', async () => worker.role === 'manager')
    await worker.kv.put('still', 'one cluster')
    const newcomer = await createPeerOver({ clock: others }, { name: 'w3', dir: freshDir(t), join, timing: quick })
    t.teardown(() => newcomer.stop())
    t.equal(newcomer.role, 'worker')
  },
)
