/** Carries out the verdicts on nodes while a term lasts: when to judge, what to record, what to try again. */
import type { Clock } from '../base/clock.js'
import type { NodeState } from '../model/node.js'
import type { Evidence } from '../overlay/transport/transport.js'
import type { View } from '../store/view.js'
import { Confirmations, type DialFinding } from './confirmations.js'
import { type HeartbeatSettings, provenDeadMs } from './heartbeat.js'
import { judgeNodes, type Member } from './node-verdicts.js'
import type { Sessions } from './sessions.js'

/** Who is alive, as a leader asks it. Implemented over SWIM. */
export interface Membership {
  /** undefined: nothing is known of this node. */
  member(node: string): Member | undefined
  /** Tells every change; the returned function ends that. */
  observe(changed: () => void): () => void
}

export interface NodeWatchWorld {
  readonly clock: Clock
  readonly sessions: Sessions
  readonly membership: Membership | undefined
  /** Connects to an address and hangs up; never rejects. undefined: broken links prove nothing. */
  readonly dial: ((address: string) => Promise<DialFinding>) | undefined
  settings(): HeartbeatSettings
  view(): View
  /** Resolves when it is recorded. */
  record(node: string, state: NodeState, message: string): Promise<void>
  /** The node is down: its streams end. */
  lost(node: string): void
}

/** Between two looks, however many signs come in; a millisecond more for each so many nodes, since a look costs about a microsecond for each. */
const pauseLeastMs = 20
const nodesPerPauseMs = 50

export class NodeWatch {
  readonly #world: NodeWatchWorld
  readonly #confirmations: Confirmations | undefined
  /** Verdicts being recorded, or to be recorded again. */
  readonly #recording = new Map<string, NodeState>()
  /** Down by verdict, until the record says so. */
  readonly #lost = new Map<string, string>()
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined
  #listenUntilMs = Number.NEGATIVE_INFINITY
  #unobserve: (() => void) | undefined
  #ended = false
  #pauseMs = pauseLeastMs

  constructor(world: NodeWatchWorld) {
    this.#world = world
    const { dial, clock } = world
    this.#confirmations =
      dial &&
      new Confirmations({
        clock,
        dial,
        address: (node) => world.view().node(node)?.address,
        refused: (node) => {
          world.sessions.confirm(node)
          this.soon()
        },
      })
  }

  begin(): void {
    this.#unobserve = this.#world.membership?.observe(() => this.soon())
    this.soon()
  }

  end(): void {
    this.#ended = true
    this.#unobserve?.()
    this.#confirmations?.end()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Something was noticed: look, in a moment. */
  soon(): void {
    this.#arm(this.#world.clock.now() + this.#pauseMs)
  }

  linkDown(node: string, evidence: Evidence): void {
    const { sessions, clock, settings } = this.#world
    sessions.linkDown(node, evidence, clock.now())
    const ended = sessions.signs(node)?.ended
    const waitMs = ended && !ended.isConfirmed ? provenDeadMs(ended.evidence, settings()) : undefined
    if (waitMs !== undefined) this.#confirmations?.ask(node, waitMs / 2)
    this.soon()
  }

  linkUp(node: string): void {
    this.#world.sessions.linkUp(node)
    this.#confirmations?.drop(node)
  }

  /** It registered: whatever was concluded of it is over. */
  registered(node: string): void {
    this.#lost.delete(node)
    this.#recording.delete(node)
    this.#confirmations?.drop(node)
    this.soon()
  }

  /** A beat of a node that is not ready by its record makes it so. */
  heard(node: string): void {
    if (this.#world.view().node(node)?.state !== 'ready') this.soon()
  }

  #arm(atMs: number): void {
    if (this.#ended || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return
    this.#timer?.cancel()
    const { clock } = this.#world
    const cancel = clock.after(Math.max(0, atMs - clock.now()), () => this.#look(atMs))
    this.#timer = { atMs, cancel }
  }

  #look(plannedMs: number): void {
    const { clock, sessions, membership, settings, view } = this.#world
    this.#timer = undefined
    const nowMs = clock.now()
    // After a stall node runs timers before it reads sockets: a verdict now would be about our lateness, not theirs.
    if (nowMs - plannedMs > settings().heartbeatMs / 2) this.#listenUntilMs = nowMs + settings().heartbeatMs
    let nodes = 0
    const { changes, wakeAtMs } = judgeNodes({
      nodes: view().nodes(),
      signs: (node) => {
        nodes++
        const signs = sessions.signs(node)
        return signs && { ...signs, member: membership?.member(node) }
      },
      settings: settings(),
      nowMs,
      listenUntilMs: this.#listenUntilMs,
    })
    this.#pauseMs = Math.max(pauseLeastMs, nodes / nodesPerPauseMs)
    for (const { node, state, message } of changes) {
      if (state === 'down') {
        sessions.forget(node)
        this.#lost.set(node, message)
        this.#world.lost(node)
      } else this.#record(node, state, message)
    }
    for (const [node, message] of this.#lost) this.#recordLoss(node, message)
    if (wakeAtMs !== undefined) this.#arm(Math.max(wakeAtMs, nowMs + this.#pauseMs))
  }

  /** For as long as it is true and not recorded. */
  #recordLoss(node: string, message: string): void {
    const record = this.#world.view().node(node)
    if (record === undefined || record.state === 'down' || this.#world.sessions.signs(node) !== undefined) this.#lost.delete(node)
    else this.#record(node, 'down', message)
  }

  #record(node: string, state: NodeState, message: string): void {
    if (this.#recording.get(node) === state) return
    this.#recording.set(node, state)
    const done = (): void => {
      if (this.#recording.get(node) === state) this.#recording.delete(node)
    }
    this.#world.record(node, state, message).then(
      () => {
        done()
        this.soon()
      },
      () => {
        done()
        // Whatever the reason (no quorum, a lost race): if this is still true then, it is still to be recorded.
        this.#arm(this.#world.clock.now() + this.#world.settings().heartbeatMs)
      },
    )
  }
}
