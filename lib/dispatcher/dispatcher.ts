/** SessionApi carried out on the store, while this manager leads. */
import type { Assignments, BeatAnswer, SessionApi, SessionHello, SessionOpened, TaskReport } from '../api/session.js'
import type { Evidence } from '../overlay/transport/transport.js'
import { type DispatcherWorld, notLeading, Term } from './term.js'

export class Dispatcher implements SessionApi {
  readonly #world: DispatcherWorld
  #term: Term | undefined

  /** Does nothing until `start`. */
  constructor(world: DispatcherWorld) {
    this.#world = world
  }

  /** Begins a leadership: every node that was ready is unknown until it registers, or down when its grace passes. */
  start(): void {
    if (this.#term !== undefined) return
    this.#term = new Term(this.#world)
    this.#term.begin()
  }

  /** Closes sessions, streams and timers; resolves when no proposal of its own is under way. Any number of times. */
  async stop(): Promise<void> {
    const term = this.#term
    this.#term = undefined
    await term?.end()
  }

  async open(node: string, hello: SessionHello): Promise<SessionOpened> {
    return await this.#leading().open(node, hello)
  }

  async beat(node: string, session: string, agoMs?: number): Promise<BeatAnswer> {
    return this.#leading().beat(node, session, agoMs)
  }

  /** Refusals come with the first item asked for. */
  async *assignments(node: string, session: string, signal: AbortSignal): AsyncGenerator<Assignments, void, void> {
    yield* this.#leading().assignments(node, session, signal)
  }

  async report(node: string, session: string, reports: readonly TaskReport[]): Promise<{ readonly forget: readonly string[] }> {
    return await this.#leading().report(node, session, reports)
  }

  async leave(node: string, session: string): Promise<void> {
    await this.#leading().leave(node, session)
  }

  /** Milliseconds for which no leader can have answered the node; 0 while this manager does not lead. */
  silentMs(node: string): number {
    return this.#term?.silentMs(node) ?? 0
  }

  /** A link to the node ended, or could not be made: its grace may become shorter. */
  linkDown(node: string, evidence: Evidence): void {
    this.#term?.linkDown(node, evidence)
  }

  /** The node dialled in: its process lives. */
  linkUp(node: string): void {
    this.#term?.linkUp(node)
  }

  #leading(): Term {
    if (this.#term === undefined) throw notLeading()
    return this.#term
  }
}
