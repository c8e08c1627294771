/** Who has a session, and until when silence is forgiven. Time comes in as a parameter. Pure. */
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { Evidence } from '../overlay/transport/transport.js'
import { graceMs, type HeartbeatSettings, linkGraceMs } from './heartbeat.js'

interface Entry {
  /** undefined: the node is known to the cluster and has not registered with this leader yet. */
  readonly session: string | undefined
  deadlineMs: number
}

export type Standing = 'registered' | 'expected' | 'gone'

export class Sessions {
  readonly #settings: () => HeartbeatSettings
  readonly #random: Random
  readonly #entries = new Map<string, Entry>()

  constructor(settings: () => HeartbeatSettings, random: Random) {
    this.#settings = settings
    this.#random = random
  }

  /** The node should register within a grace; one that has a session keeps it. */
  expect(node: string, nowMs: number): void {
    if (this.#entries.has(node)) return
    this.#entries.set(node, { session: undefined, deadlineMs: nowMs + graceMs(this.#settings()) })
  }

  /** A new session; the node's former one is no longer valid. */
  register(node: string, nowMs: number): string {
    const session = makeId(this.#random)
    this.#entries.set(node, { session, deadlineMs: nowMs + graceMs(this.#settings()) })
    return session
  }

  holds(node: string, session: string): boolean {
    return this.#entries.get(node)?.session === session
  }

  /** A sign of life; false when the session is not, or no longer, the node's. */
  beat(node: string, session: string, nowMs: number): boolean {
    const entry = this.#entries.get(node)
    if (entry === undefined || entry.session !== session) return false
    entry.deadlineMs = nowMs + graceMs(this.#settings())
    return true
  }

  /** A link to the node ended: its grace may become shorter, until it beats or registers again. */
  linkDown(node: string, evidence: Evidence, nowMs: number): void {
    const entry = this.#entries.get(node)
    const left = linkGraceMs(evidence, this.#settings())
    if (entry === undefined || left === undefined) return
    // A worker that asks one manager after another who leads closes each link behind it: no sign of its end.
    if (entry.session === undefined && evidence === 'closed') return
    entry.deadlineMs = Math.min(entry.deadlineMs, nowMs + left)
  }

  /** The session did not come about: the node is expected again. */
  withdraw(node: string, session: string, nowMs: number): void {
    if (!this.holds(node, session)) return
    this.#entries.delete(node)
    this.expect(node, nowMs)
  }

  forget(node: string): void {
    this.#entries.delete(node)
  }

  standing(node: string): Standing {
    const entry = this.#entries.get(node)
    if (entry === undefined) return 'gone'
    return entry.session === undefined ? 'expected' : 'registered'
  }

  /** Ends what was silent too long; answers with the nodes, ascending. */
  expire(nowMs: number): readonly string[] {
    const late = [...this.#entries].filter(([, { deadlineMs }]) => deadlineMs <= nowMs).map(([node]) => node)
    for (const node of late) this.#entries.delete(node)
    return late.sort()
  }

  /** This process was itself late: beats of that time lie unread in its sockets, so nobody is judged for another heartbeat. */
  excuse(nowMs: number): void {
    const untilMs = nowMs + this.#settings().heartbeatMs
    for (const entry of this.#entries.values()) entry.deadlineMs = Math.max(entry.deadlineMs, untilMs)
  }

  /** When `expire` is worth calling next. */
  nextDeadlineMs(): number | undefined {
    let next: number | undefined
    for (const { deadlineMs } of this.#entries.values()) next = Math.min(next ?? deadlineMs, deadlineMs)
    return next
  }
}
