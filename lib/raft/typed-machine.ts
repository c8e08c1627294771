/** A state machine of commands rather than bytes, the memory that makes retries exactly-once, and that of who was a member. */
import { decode, encode } from '../wire/codec.js'
import { anything, array, badMessage, bytes, natural, string } from '../wire/decode.js'
import type { RaftId } from './core/index.js'
import type { EntryPosition, StateMachine as RunnerStateMachine } from './runner/index.js'
import { readTuple } from './wal/index.js'

/**
 * A deterministic machine in memory, fed with the same commands in the same order on every peer. It is handed over empty
 * each time its peer is opened: snapshot and log fill it again.
 */
export interface StateMachine<C, R> {
  readonly codec: { encode(command: C): Uint8Array; decode(bytes: Uint8Array): C }
  /** Deterministic, synchronous, no clock, no chance. The result goes to who asked for it; an error thrown here stops the peer. */
  apply(command: C, at: EntryPosition): R
  /** Captures the state now; the chunks (each under 64 MiB) may be read later while `apply` goes on. */
  snapshot(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** Replaces the whole state by that of a snapshot. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>
}

/** Results of this many commands with a request id are remembered; the oldest go first. The same on every peer, or replicas would differ. */
export const requestsRemembered = 10_000

const valueLimitBytes = 64 * 1024 * 1024
const requestsPerChunk = 500
const requestsTag = 1
const stateTag = 2
const removedTag = 3
const nothing = new Uint8Array(0)

/** An entry of the log: who retries, and what the machine's own codec made of the command. */
export function encodeRequest(command: Uint8Array, requestId: string | undefined): Uint8Array {
  return encode([requestId ?? null, command])
}

/**
 * What the runner feeds in place of the typed machine. A command whose request id was applied before answers with the
 * first result and changes nothing (thesis §6.3); the memory of that is part of every snapshot.
 */
export class TypedMachine<C, R> implements RunnerStateMachine {
  readonly appliedIndex = 0
  readonly #machine: StateMachine<C, R>
  /** Results by request id, encoded: what a retry gets is the same before and after a restart. */
  readonly #results = new Map<string, Uint8Array>()
  /** Members that have left, as of the last applied entry: whoever sees the configurations writes it, every snapshot carries it. */
  readonly removed = new Set<RaftId>()

  constructor(machine: StateMachine<C, R>) {
    this.#machine = machine
  }

  apply(data: Uint8Array, at: EntryPosition): R {
    const [id, command] = readTuple(decode(data, valueLimitBytes), 2, 'entry')
    const requestId = id === null ? undefined : string(id, 'entry.requestId')
    const before = requestId === undefined ? undefined : this.#results.get(requestId)
    if (before !== undefined) return decodeResult(before) as R
    const result = this.#machine.apply(this.#machine.codec.decode(bytes(command, 'entry.command')), at)
    if (requestId !== undefined) this.#remember(requestId, encodeResult(result))
    return result
  }

  applied(): void {
    // The machine lives in memory: there is nothing to write and nobody to tell.
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // All of it is captured before this returns.
    return tagged([...this.removed], [...this.#results], this.#machine.snapshot())
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const memory: Memory = { results: [], removed: [] }
    await this.#machine.restore(withoutMemory(chunks, memory))
    this.#results.clear()
    for (const [requestId, result] of memory.results) this.#results.set(requestId, result)
    this.removed.clear()
    for (const id of memory.removed) this.removed.add(id)
  }

  #remember(requestId: string, result: Uint8Array): void {
    this.#results.set(requestId, result)
    if (this.#results.size <= requestsRemembered) return
    const [oldest] = this.#results.keys()
    if (oldest !== undefined) this.#results.delete(oldest)
  }
}

/** What a snapshot holds beside the machine's own state. */
interface Memory {
  readonly results: (readonly [string, Uint8Array])[]
  readonly removed: RaftId[]
}

async function* tagged(
  removed: readonly RaftId[],
  results: readonly (readonly [string, Uint8Array])[],
  state: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (removed.length > 0) yield Buffer.concat([Buffer.of(removedTag), encode(removed)])
  for (let from = 0; from < results.length; from += requestsPerChunk) {
    yield Buffer.concat([Buffer.of(requestsTag), encode(results.slice(from, from + requestsPerChunk))])
  }
  for await (const chunk of state) yield Buffer.concat([Buffer.of(stateTag), chunk])
}

/** The machine's own chunks; the rest, which comes before them, goes into `memory`. */
async function* withoutMemory(chunks: AsyncIterable<Uint8Array>, { results, removed }: Memory): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const body = chunk.subarray(1)
    if (chunk[0] === stateTag) yield body
    else if (chunk[0] === requestsTag) results.push(...readResults(body))
    else if (chunk[0] === removedTag) removed.push(...readRemoved(body))
    else throw badMessage('snapshot', 'a chunk of members, requests or state', chunk[0])
  }
}

function readResults(body: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  return array(anything)(decode(body, valueLimitBytes), 'snapshot.requests').map((each) => {
    const [requestId, result] = readTuple(each, 2, 'snapshot.requests')
    return [string(requestId, 'snapshot.requests'), bytes(result, 'snapshot.requests')] as const
  })
}

function readRemoved(body: Uint8Array): readonly RaftId[] {
  return array(natural)(decode(body, valueLimitBytes), 'snapshot.removed')
}

function encodeResult(result: unknown): Uint8Array {
  return result === undefined ? nothing : encode(result)
}

function decodeResult(result: Uint8Array): unknown {
  return result.length === 0 ? undefined : decode(result, valueLimitBytes)
}
