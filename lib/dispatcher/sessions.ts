/** Who has a session, and what was noticed of each node. Time comes in as a parameter; verdicts are for `node-verdicts`. Pure. */
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { Evidence } from '../overlay/transport/transport.js'
import type { Signs } from './node-verdicts.js'

interface Entry {
  /** undefined: the node is known to the cluster and has not registered with this leader yet. */
  readonly session: string | undefined
  heardMs: number
  ended: Signs['ended']
}

export class Sessions {
  readonly #random: Random
  readonly #entries = new Map<string, Entry>()

  constructor(random: Random) {
    this.#random = random
  }

  /** The node should register from now on; one that has a session keeps it. */
  expect(node: string, nowMs: number): void {
    if (this.#entries.has(node)) return
    this.#entries.set(node, { session: undefined, heardMs: nowMs, ended: undefined })
  }

  /** A new session; the node's former one is no longer valid. */
  register(node: string, nowMs: number): string {
    const session = makeId(this.#random)
    this.#entries.set(node, { session, heardMs: nowMs, ended: undefined })
    return session
  }

  holds(node: string, session: string): boolean {
    return this.#entries.get(node)?.session === session
  }

  /** A sign of life, heard at `atMs`, which may be a moment ago; false when the session is not, or no longer, the node's. */
  beat(node: string, session: string, atMs: number): boolean {
    const entry = this.#entries.get(node)
    if (entry === undefined || entry.session !== session) return false
    entry.heardMs = Math.max(entry.heardMs, atMs)
    // A beat that was on its way when the link ended proves nothing.
    if (entry.ended !== undefined && entry.ended.atMs <= atMs) entry.ended = undefined
    return true
  }

  /** It spoke, outside of a session. */
  heard(node: string, nowMs: number): void {
    const entry = this.#entries.get(node)
    if (entry === undefined) return
    entry.heardMs = nowMs
    entry.ended = undefined
  }

  /** A link to the node ended. What it proves holds until the node is heard again. */
  linkDown(node: string, evidence: Evidence, nowMs: number): void {
    const entry = this.#entries.get(node)
    if (entry === undefined) return
    // A worker that asks one manager after another who leads closes each link behind it: no sign of its end.
    if (entry.session === undefined && evidence === 'closed') return
    // The first of several ends counts: redials that fail say the same again.
    if (entry.ended !== undefined && weight(evidence) <= weight(entry.ended.evidence)) return
    // A refusal is what a dial of our own found: it needs no other.
    entry.ended = { evidence, atMs: nowMs, isConfirmed: evidence === 'refused' }
  }

  /** After its link ended its machine said that nobody is there. */
  confirm(node: string): void {
    const entry = this.#entries.get(node)
    if (entry?.ended !== undefined) entry.ended = { ...entry.ended, isConfirmed: true }
  }

  /** It dialled in again: its process is not dead. Whether its agent lives its beats will tell. */
  linkUp(node: string): void {
    const entry = this.#entries.get(node)
    if (entry !== undefined) entry.ended = undefined
  }

  /** The session did not come about: the node is expected again. */
  withdraw(node: string, session: string, nowMs: number): void {
    if (!this.holds(node, session)) return
    this.#entries.delete(node)
    this.expect(node, nowMs)
  }

  /** No session, and none expected. */
  forget(node: string): void {
    this.#entries.delete(node)
  }

  /** What was noticed of it; undefined of one that is neither registered nor expected. */
  signs(node: string): Omit<Signs, 'member'> | undefined {
    const entry = this.#entries.get(node)
    if (entry === undefined) return undefined
    const { session, heardMs, ended } = entry
    return { session: session === undefined ? 'expected' : 'registered', heardMs, ended }
  }
}

function weight(evidence: Evidence): number {
  return { local: 0, silent: 1, closed: 2, reset: 3, refused: 4 }[evidence]
}
