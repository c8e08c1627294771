/**
 * What the leader concludes of nodes, from all the signs there are at one time. Pure, and without memory: planned twice, the second
 * plan is empty; a new leader concludes the same from the same signs.
 *
 * - A process proved dead (its link ended, and its machine refused when it was dialled after) is down within a second.
 * - A node that two members gave up is down after a grace: cut off for some seconds it has time to come back.
 * - Silence alone degrades: no new tasks, none taken away. Only past the pause tolerance it counts as down.
 * - The brake: when a third of the nodes fall silent together, more likely we are the ones cut off, and nothing is taken away for a while.
 *   Whom it held it goes on holding while the first of them return: their records say so, to the next leader too.
 * Source: overlay.md §4 rules 5 and 6; the zone brake of Kubernetes' node controller; Rapid (arXiv 1803.03620) for the cut.
 */
import type { Node, NodeState } from '../model/node.js'
import type { Evidence } from '../overlay/transport/transport.js'
import { graceMs, type HeartbeatSettings, provenDeadMs } from './heartbeat.js'

/** What membership says of a node. Times by our own clock. */
export interface Member {
  /** `degraded`: its machine answers for a process that does not. */
  readonly state: 'alive' | 'degraded' | 'suspect' | 'failed' | 'left'
  /** Members whose word the state rests on. */
  readonly accusers: number
  /** True when its machine said that nobody is there. */
  readonly isRefused: boolean
  readonly sinceMs: number
  /** When the member itself was last heard, by whatever lane. */
  readonly heardMs: number
}

/** How a link ended. */
export interface LinkEnd {
  readonly evidence: Evidence
  readonly atMs: number
  /** A dial found nobody there. Until then a broken link may be the fault of anything between. */
  readonly isConfirmed: boolean
}

/** Everything the leader has noticed of a node. Times by our own clock. */
export interface Signs {
  /** `expected`: known to the cluster, has not registered with this leader. */
  readonly session: 'registered' | 'expected'
  /** Last sign of life over the session; of an expected node: since when it is expected. */
  readonly heardMs: number
  /** How its link ended, if it did and the node was not heard since. */
  readonly ended: LinkEnd | undefined
  readonly member: Member | undefined
}

export interface VerdictView {
  readonly nodes: Iterable<Pick<Node, 'id' | 'state' | 'message'>>
  signs(node: string): Signs | undefined
  readonly settings: HeartbeatSettings
  readonly nowMs: number
  /** This process was late itself: until then silence is no sign of anything. */
  readonly listenUntilMs: number
}

export interface Verdict {
  readonly node: string
  readonly state: NodeState
  readonly message: string
}

export interface Verdicts {
  /** Nodes whose record must change, in the order of the view. */
  readonly changes: readonly Verdict[]
  /** When the same signs would say something else. */
  readonly wakeAtMs: number | undefined
  /** Nodes that would be down if they had not fallen silent together with so many others. */
  readonly held: readonly string[]
}

/** Below this many nodes nothing can be told from how many are silent. */
const brakeNodesMin = 2
/** The part of the nodes that makes the brake hold, as one in so many. */
const brakeOneIn = 3
/** The brake holds so long after the last node fell silent; a leader that still has its quorum by then was not cut off. */
const holdMs = 60_000
/** A process that is alive by every sign but never comes for its tasks is given up after this. */
const sessionlessMs = 300_000

const messages = {
  ready: 'ready',
  silent: 'no heartbeat',
  paused: 'its machine answers, its process does not',
  sessionless: 'alive, but without a session',
  dead: 'its process died',
  failed: 'given up by other members',
  left: 'left the cluster',
  held: 'silent together with many others: nothing is moved until it is clear who is cut off',
} as const

/** How one node stands before the brake is thought of. */
interface Finding {
  readonly state: NodeState | 'same'
  readonly message: string
  /** True when nothing but silence speaks against it: such losses count for the brake, and are held by it. */
  readonly isSilence: boolean
  readonly nextMs: number | undefined
}

export function judgeNodes({ nodes, signs, settings, nowMs, listenUntilMs }: VerdictView): Verdicts {
  const findings: { readonly node: Pick<Node, 'id' | 'state' | 'message'>; readonly found: Finding }[] = []
  let up = 0
  let lastSilentMs = Number.NEGATIVE_INFINITY
  let lastHeldMs = Number.NEGATIVE_INFINITY
  let silent = 0
  for (const node of nodes) {
    const its = signs(node.id)
    const found = its && findingOf(its, settings, nowMs, listenUntilMs)
    const isGone = isDownAlready(node, found)
    if (!isGone) up++
    if (its === undefined || found === undefined) continue
    findings.push({ node, found })
    if (isGone || !found.isSilence) continue
    silent++
    const silentMs = its.heardMs + graceMs(settings)
    lastSilentMs = Math.max(lastSilentMs, silentMs)
    if (node.message === messages.held) lastHeldMs = Math.max(lastHeldMs, silentMs)
  }
  const areTogether = silent >= brakeNodesMin && silent * brakeOneIn >= up
  // Once held they stay held as others return: the last ones back would be given up for being few.
  const holdUntilMs = { all: areTogether ? lastSilentMs + holdMs : Number.NEGATIVE_INFINITY, held: lastHeldMs + holdMs }
  const changes: Verdict[] = []
  const held: string[] = []
  let wakeAtMs: number | undefined
  for (const { node, found } of findings) {
    let { state, message } = found
    const wasHeld = node.message === messages.held
    const untilMs = wasHeld ? Math.max(holdUntilMs.all, holdUntilMs.held) : holdUntilMs.all
    const isHeld = found.isSilence && nowMs < untilMs
    if (isHeld) {
      if (state === 'down') held.push(node.id)
      state = 'degraded'
      message = messages.held
      wakeAtMs = earlier(wakeAtMs, untilMs)
    }
    wakeAtMs = earlier(wakeAtMs, found.nextMs)
    // Of a node nobody heard of yet, `unknown` says as much and is kept, until it would be down.
    const isUnheard = state === 'degraded' && node.state === 'unknown' && found.state !== 'down'
    const isSame = state === 'same' || isUnheard || (state === node.state && isHeld === wasHeld)
    if (!isSame) changes.push({ node: node.id, state: state as NodeState, message })
  }
  return { changes, wakeAtMs, held }
}

/** Down by its record with nothing to say otherwise, or proved to be: it counts neither as a node nor as one that fell silent. */
function isDownAlready({ state }: Pick<Node, 'state'>, found: Finding | undefined): boolean {
  if (found === undefined || found.state === 'same') return state === 'down'
  return found.state === 'down' && (state === 'down' || !found.isSilence)
}

function findingOf(signs: Signs, settings: HeartbeatSettings, nowMs: number, listenUntilMs: number): Finding {
  const { session, heardMs, member } = signs
  const isHeardSince = (atMs: number): boolean => Math.max(heardMs, member?.heardMs ?? heardMs) > atMs
  if (member?.state === 'left' && heardMs <= member.sinceMs) {
    // A goodbye ends its link. Where that stands, somebody else may have said it: the node's next beat is waited for.
    const atMs = session === 'registered' && signs.ended === undefined ? heardMs + 1.5 * settings.heartbeatMs : member.sinceMs
    if (nowMs >= atMs) return certain('down', messages.left)
    return { state: 'same', message: '', isSilence: false, nextMs: atMs }
  }
  if (nowMs < listenUntilMs) return { state: 'same', message: '', isSilence: false, nextMs: listenUntilMs }
  const dead = deathOf(signs, settings, isHeardSince)
  if (dead !== undefined && nowMs >= dead.atMs) return certain('down', dead.message)
  const quiet = silenceOf(signs, settings, nowMs)
  const nextMs = earlier(dead?.atMs, quiet.nextMs)
  if (member?.state === 'failed' && !isHeardSince(member.sinceMs)) {
    // Silence seen from several places, so not of our own link; still a silence, unless its machine refused. After a cut of some
    // seconds its links need about as long again to go on (TCP sends again at doubling intervals).
    const atMs = member.sinceMs + (member.isRefused ? settings.heartbeatMs : graceMs(settings))
    const isCredible = member.accusers >= 2
    if (isCredible && nowMs >= atMs) return { state: 'down', message: messages.failed, isSilence: !member.isRefused, nextMs }
    const state = quiet.state === 'down' ? 'down' : 'degraded'
    return { ...quiet, state, message: messages.failed, nextMs: earlier(isCredible ? atMs : undefined, nextMs) }
  }
  if (quiet.state === 'same' && member?.state === 'degraded' && heardMs <= member.sinceMs)
    return { state: 'degraded', message: messages.paused, isSilence: false, nextMs }
  if (quiet.state === 'same' && session === 'registered')
    return { state: 'ready', message: messages.ready, isSilence: false, nextMs }
  return { ...quiet, nextMs }
}

/** Its link ended, nobody listens where it listened, and nobody heard of it since: when that counts as proof. */
function deathOf(
  { session, heardMs, ended, member }: Signs,
  settings: HeartbeatSettings,
  isHeardSince: (atMs: number) => boolean,
): { readonly atMs: number; readonly message: string } | undefined {
  if (member?.state === 'failed' && member.isRefused && member.accusers >= 2 && !isHeardSince(member.sinceMs)) {
    // A worker that can dial out and not be dialled (NAT) refuses everybody and beats: its next beat is waited for.
    const isLinked = session === 'registered' && ended === undefined
    return {
      atMs: isLinked ? Math.max(member.sinceMs, heardMs + 1.5 * settings.heartbeatMs) : member.sinceMs,
      message: messages.dead,
    }
  }
  if (ended === undefined || !ended.isConfirmed || isHeardSince(ended.atMs)) return undefined
  const waitMs = provenDeadMs(ended.evidence, settings)
  return waitMs === undefined ? undefined : { atMs: ended.atMs + waitMs, message: messages.dead }
}

/** What its silence says: nothing within the grace, trouble past it, the end past the tolerance. */
function silenceOf({ session, heardMs, member }: Signs, settings: HeartbeatSettings, nowMs: number): Finding {
  const degradedAtMs = heardMs + graceMs(settings)
  const isAlive = member?.state === 'alive' && nowMs - member.heardMs < settings.pauseToleranceMs
  const downAtMs = heardMs + (isAlive ? sessionlessMs : Math.max(settings.pauseToleranceMs, graceMs(settings)))
  if (nowMs < degradedAtMs) return { state: 'same', message: '', isSilence: false, nextMs: degradedAtMs }
  // A session that fell silent counts for the brake whatever members still believe; who never had one may be waiting to be let in.
  const isSilence = !isAlive || session === 'registered'
  if (nowMs >= downAtMs) return { state: 'down', message: messages.silent, isSilence, nextMs: undefined }
  if (!isAlive) return { state: 'degraded', message: messages.silent, isSilence, nextMs: downAtMs }
  const believedUntilMs = (member?.heardMs ?? nowMs) + settings.pauseToleranceMs
  return { state: 'degraded', message: messages.sessionless, isSilence, nextMs: Math.min(downAtMs, believedUntilMs) }
}

function certain(state: NodeState, message: string): Finding {
  return { state, message, isSilence: false, nextMs: undefined }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return Math.min(a, b)
}
