import { setTimeout as sleep } from 'node:timers/promises'
import { below, pick, type Random } from '../../lib/base/random.js'
import type { Cluster } from '../../lib/index.js'
import type { Operation, Value } from '../../lib/sim/linearizability/index.js'

/** What a client needs of the run. */
export interface WorkloadWorld {
  readonly random: Random
  /** Microseconds of the one clock that all operations are timed by. */
  nowUs(): number
  /** The keys of this moment; they change now and then, so that no key's history grows without end. */
  keys(): readonly string[]
  record(operation: Operation): void
}

/** Longest wait for an answer; past it the outcome is unknown. */
const deadlineMs = 2_000
/** Longest thought between two operations of one client. */
const thoughtMs = 25
/** Errors that say that the operation has not happened and will not; any other leaves that open. */
const definite: ReadonlySet<string> = new Set([
  'ERR_SKEIN_NO_QUORUM',
  'ERR_SKEIN_NOT_LEADER',
  'ERR_SKEIN_BUSY',
  'ERR_SKEIN_UNREACHABLE',
])

/** What a client last saw of a key: compare-and-sets go by version, which here means the same as by value, as every value is written once. */
interface Seen {
  readonly value: Value
  readonly version: number | 'absent'
}

/** A client: puts, gets and compare-and-sets one after the other, each recorded as it saw it. */
export class Client {
  readonly name: string
  readonly #cluster: Pick<Cluster, 'kv'>
  readonly #world: WorkloadWorld
  readonly #seen = new Map<string, Seen>()
  #written = 0

  constructor(name: string, cluster: Pick<Cluster, 'kv'>, world: WorkloadWorld) {
    this.name = name
    this.#cluster = cluster
    this.#world = world
  }

  /** Works until the signal aborts; the operation under way then is finished. */
  async work(signal: AbortSignal): Promise<void> {
    const { random } = this.#world
    while (!signal.aborted) {
      const key = pick(random, this.#world.keys()) as string
      const chance = random()
      if (chance < 0.4) await this.get(key)
      else if (chance < 0.7) await this.put(key)
      else await this.#cas(key)
      await sleep(below(random, thoughtMs))
    }
  }

  /** Whether an answer came. */
  async get(key: string): Promise<boolean> {
    const head = { client: this.name, op: 'get', key, invokeUs: this.#world.nowUs() } as const
    try {
      const found = await this.#cluster.kv.get(key, { deadlineMs })
      const value = found === undefined ? null : Buffer.from(found.value).toString()
      this.#seen.set(key, { value, version: found?.version ?? 'absent' })
      this.#record({ ...head, value, ok: true, returnUs: this.#world.nowUs() })
      return true
    } catch (error) {
      this.#record({ ...head, value: null, ok: false, refused: codeOf(error), returnUs: this.#world.nowUs() })
      return false
    }
  }

  /** Whether the write was acknowledged. */
  async put(key: string): Promise<boolean> {
    return await this.#write({ client: this.name, op: 'put', key, value: this.#nextValue(), invokeUs: this.#world.nowUs() }, {})
  }

  async #cas(key: string): Promise<void> {
    // Mostly from what the key holds now, so that many succeed; else from what was seen some time ago.
    if (!this.#seen.has(key) || this.#world.random() < 0.7) await this.get(key)
    const seen = this.#seen.get(key)
    if (seen === undefined) return
    const head = {
      client: this.name,
      op: 'cas',
      key,
      from: seen.value,
      value: this.#nextValue(),
      invokeUs: this.#world.nowUs(),
    } as const
    await this.#write(head, { ifVersion: seen.version })
  }

  async #write(
    head: Pick<Operation, 'client' | 'op' | 'key' | 'from' | 'value' | 'invokeUs'>,
    o: { readonly ifVersion?: number | 'absent' },
  ): Promise<boolean> {
    try {
      const version = await this.#cluster.kv.put(head.key, String(head.value), { ...o, deadlineMs })
      this.#seen.set(head.key, { value: head.value, version })
      this.#record({ ...head, ok: true, returnUs: this.#world.nowUs() })
      return true
    } catch (error) {
      const code = codeOf(error)
      const returnUs = this.#world.nowUs()
      if (code === 'ERR_SKEIN_VERSION_CONFLICT' && head.op === 'cas') this.#record({ ...head, ok: false, returnUs })
      else if (definite.has(code)) this.#record({ ...head, ok: false, refused: code, returnUs })
      else this.#record({ ...head, ok: null, returnUs: null })
      return false
    }
  }

  #nextValue(): string {
    return `${this.name}-${++this.#written}`
  }

  #record(operation: Operation): void {
    this.#world.record(operation)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
