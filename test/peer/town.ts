/** Peers' memberships on links and datagrams in memory, in virtual time: what a machine is to the others, without its tasks. */
import { makeId } from '../../lib/base/ids.js'
import { silentLogger } from '../../lib/base/logger.js'
import { seededRandom } from '../../lib/base/random.js'
import { foundKeyring, type Keyring } from '../../lib/model/keyring.js'
import { DatagramLane, MemoryDatagrams } from '../../lib/overlay/datagram/index.js'
import type { Triage } from '../../lib/overlay/swim/index.js'
import { evidenceOf, LinkPool, parseAddress, Switchboard } from '../../lib/overlay/transport/index.js'
import { PeerMembership } from '../../lib/peer/peer-membership.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { authority, cluster, makeHost, stranger } from '../overlay/transport/support.js'

export interface Resident {
  readonly name: string
  readonly node: string
  readonly role: 'manager' | 'worker'
  readonly pool: LinkPool
  readonly lane: DatagramLane | undefined
  readonly membership: PeerMembership
  readonly warnings: string[]
  /** The keys this one knows. */
  keyring: Keyring
}

export interface ResidentWishes {
  readonly role?: 'manager' | 'worker'
  readonly datagrams?: 'on' | 'off'
  readonly file?: string
  readonly node?: string
  readonly epoch?: number
  readonly keyring?: Keyring
  /** What it says of where it is reached; default the truth. */
  readonly address?: string
  /** Host it lives on; default one of its own. */
  readonly name?: string
}

export const secret = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
export const firstRing = foundKeyring([secret(1), secret(2)], 0)

const stepMs = 10
const ids = seededRandom(43)

export class Town {
  readonly clock: ManualClock
  readonly switchboard: Switchboard
  readonly datagrams: MemoryDatagrams
  readonly residents: Resident[] = []
  /** Hosts from and to which no datagram passes. */
  readonly filtered = new Set<string>()
  readonly #isBeside: boolean

  /** @param beside a cluster of its own on the network of that one, which passes the time for both */
  constructor(t: { teardown(act: () => Promise<void>): void }, { beside }: { readonly beside?: Town } = {}) {
    this.clock = beside?.clock ?? new ManualClock()
    this.switchboard = beside?.switchboard ?? new Switchboard(this.clock)
    this.datagrams = beside?.datagrams ?? new MemoryDatagrams()
    this.#isBeside = beside !== undefined
    if (!this.#isBeside)
      this.datagrams.fate = (from, to, bytes) => {
        const [a, b] = [parseAddress(from).host, parseAddress(to).host]
        const isLost = this.filtered.has(a) || this.filtered.has(b) || this.switchboard.isCut(a, b)
        return isLost ? [] : [bytes]
      }
    t.teardown(() => this.#close())
  }

  /** A peer that knows the first one, if there is one: a worker holds one link to it, managers are linked with each other. */
  async add(wishes: ResidentWishes = {}): Promise<Resident> {
    const number = this.residents.length
    const {
      role = number === 0 ? 'manager' : 'worker',
      datagrams = 'on',
      name = `${this.#isBeside ? 'q' : 'p'}${number}`,
      epoch = 1,
    } = wishes
    const node = wishes.node ?? makeId(ids)
    const issuer = this.#isBeside ? stranger : authority
    const host = makeHost({ role, node, credentials: issuer.credentials(role, node) })
    const options = { clock: this.clock, random: seededRandom(1000 + number), transport: this.switchboard.host(name) }
    const pool = await LinkPool.listen(host, { ...options, listen: `${name}:0` })
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (_detail: object, words: string) => warnings.push(words) }
    const knows: { keyring: Keyring } = { keyring: wishes.keyring ?? firstRing }
    const sealing = { node, cluster: this.#isBeside ? 'otherother00' : cluster, epoch, keyring: () => knows.keyring }
    const lane = datagrams === 'on' ? new DatagramLane(this.datagrams.bind(pool.address), sealing) : undefined
    const membership = await PeerMembership.open({
      ...options,
      node,
      epoch,
      address: wishes.address ?? pool.address,
      pool,
      datagrams: lane,
      triage: this.#triage(name, host.credentials),
      logger,
      file: wishes.file,
    })
    membership.start([])
    const resident: Resident = Object.assign(knows, { name, node, role, pool, lane, membership, warnings })
    const managers = this.residents.filter((other) => other.role === 'manager')
    for (const other of role === 'manager' ? managers : managers.slice(0, 1)) pool.keep(other.node, other.pool.address, 'session')
    this.residents.push(resident)
    return resident
  }

  /** Members that all of these see each other as alive. */
  isOne(all: readonly Resident[] = this.residents): boolean {
    return all.every(({ membership }) => all.every(({ node }) => membership.member(node)?.state === 'alive'))
  }

  async form(count: number, wishes: ResidentWishes = {}): Promise<void> {
    for (let number = 0; number < count; number++) await this.add(wishes)
    await this.until(() => this.isOne(), 20_000)
  }

  /** Nothing passes between this one and any other, whatever the lane. */
  cutOff({ name }: Resident): void {
    for (const other of this.residents) if (other.name !== name) this.switchboard.cut(name, other.name)
  }

  heal({ name }: Resident): void {
    for (const other of this.residents) if (other.name !== name) this.switchboard.heal(name, other.name)
  }

  /** Its process is gone, without a word. */
  async crash(resident: Resident): Promise<void> {
    this.residents.splice(this.residents.indexOf(resident), 1)
    this.filtered.add(resident.name)
    this.switchboard.crash(resident.name)
    // Whatever it would say now goes nowhere.
    await this.#during(Promise.all([resident.pool.stop(), resident.lane?.close()]))
    await this.#during(resident.membership.stop())
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) await this.#step()
  }

  /** Milliseconds until the claim held. @throws when it did not within `withinMs` */
  async until(claim: () => boolean, withinMs: number): Promise<number> {
    for (let passed = 0; passed <= withinMs; passed += stepMs) {
      if (claim()) return passed
      await this.#step()
    }
    throw new Error(`not within ${withinMs} ms`)
  }

  async #step(): Promise<void> {
    this.clock.advance(stepMs)
    // Handshakes and datagrams of this moment run out before the next one.
    for (let turn = 0; turn < 3; turn++) {
      this.datagrams.deliver()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async #during(work: Promise<unknown>): Promise<void> {
    let isOver = false
    const over = work.finally(() => {
      isOver = true
    })
    while (!isOver) await this.#step()
    await over
  }

  async #close(): Promise<void> {
    await this.#during(Promise.all(this.residents.map(({ membership }) => membership.stop())))
    await this.#during(
      Promise.all(this.residents.flatMap(({ pool, lane }) => (lane === undefined ? [pool.stop()] : [pool.stop(), lane.close()]))),
    )
  }

  #triage(name: string, credentials: Parameters<ReturnType<Switchboard['host']>['dial']>[1]): Triage {
    return async (address, timeoutMs) => {
      const giveUp = new AbortController()
      const cancel = this.clock.after(timeoutMs, () => giveUp.abort())
      try {
        const connection = await this.switchboard.host(name).dial(address, credentials, giveUp.signal)
        connection.destroy()
        return 'accepting'
      } catch (error) {
        const saw = evidenceOf(error)
        // Whoever cuts a connection off has taken it first, as one of another cluster does.
        return saw === 'refused' || saw === 'silent' || saw === 'local' ? saw : 'accepting'
      } finally {
        cancel()
      }
    }
  }
}
