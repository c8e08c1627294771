/** Pure: the next safe step towards the wanted number of living voters, and why there is none. */
import type { ConfState, RaftId } from '../core/index.js'
import type { ResolvedAutopilotOptions } from './options.js'

/** One member as the leader sees it; times are of the leader's own clock. */
export interface MemberHealth {
  /** When it was last heard; for one that was not heard yet, since when it could have been. */
  readonly heardAtMs: number
  /** Since when it has lacked no more than `lagEntriesMax` of what is committed, without a break; undefined while it lacks more. */
  readonly caughtUpSinceMs: number | undefined
}

export interface AutopilotView {
  /** The leader, whose view this is. */
  readonly self: RaftId
  readonly conf: ConfState
  /** Every member but the leader. */
  readonly members: ReadonlyMap<RaftId, MemberHealth>
}

export interface AutopilotStep {
  /** `remove`: a dead voter whose place is taken. `demote`: a living one too many. */
  readonly act: 'promote' | 'demote' | 'remove'
  readonly id: RaftId
  readonly why: string
}

/** Something that is not as wished, and what it waits for. */
export interface Waiting {
  /** Undefined: the group as a whole. */
  readonly id: RaftId | undefined
  readonly why: string
}

export interface AutopilotPlan {
  readonly step: AutopilotStep | undefined
  readonly waiting: readonly Waiting[]
}

/**
 * One step at a time, each a change of one member: promote a stable learner while too few voters live; once there are too many
 * voters, remove a dead one; with none dead, demote one too many. A dead voter without a replacement keeps its place: going from
 * three voters to two survives no more failures, and it may come back.
 *
 * No step is planned after which the healthy voters would not be a majority, or a smaller margin over it than before, unless all are
 * healthy. Nobody is ever added here, so an id that was removed does not come back.
 */
export function planAutopilot(view: AutopilotView, nowMs: number, options: ResolvedAutopilotOptions): AutopilotPlan {
  const { conf } = view
  if (conf.votersOutgoing.length > 0 || conf.learnersNext.length > 0) {
    return { step: undefined, waiting: [{ id: undefined, why: 'a change of members is under way' }] }
  }
  const wish = wishedStep(view, nowMs, options)
  const waiting = [...waits(view, nowMs, options, wish)]
  if (wish === undefined || isSafe(view, nowMs, options, wish)) return { step: wish, waiting }
  const why = `${wish.act} is not safe now: too few of the voters that would be left are healthy`
  return { step: undefined, waiting: [...waiting, { id: wish.id, why }] }
}

function wishedStep(view: AutopilotView, nowMs: number, options: ResolvedAutopilotOptions): AutopilotStep | undefined {
  const { voters, learners } = view.conf
  const dead = voters.filter((id) => isDead(view, nowMs, options, id)).sort(bySilence(view))
  const [longestDead] = dead
  if (voters.length > options.voters && longestDead !== undefined) {
    return { act: 'remove', id: longestDead, why: `${said(silentMs(view, nowMs, longestDead))}, and there are enough voters` }
  }
  if (voters.length - dead.length < options.voters) {
    const [ready] = learners.filter((id) => isReady(view, nowMs, options, id)).sort(byStability(view))
    if (ready === undefined) return undefined
    const why = longestDead === undefined ? 'there are too few voters' : `voter ${longestDead} is dead`
    return { act: 'promote', id: ready, why: `it has caught up and is stable, and ${why}` }
  }
  const areAllHealthy = voters.every((id) => isHealthy(view, nowMs, options, id))
  if (voters.length <= options.voters || !areAllHealthy) return undefined
  const surplus = voters
    .filter((id) => id !== view.self)
    .sort(byStability(view))
    .at(-1)
  return surplus === undefined ? undefined : { act: 'demote', id: surplus, why: `${options.voters} voters are enough` }
}

/** Whether the healthy voters keep a majority after the step, and one no narrower than before while anybody is not healthy. */
function isSafe(view: AutopilotView, nowMs: number, options: ResolvedAutopilotOptions, { act, id }: AutopilotStep): boolean {
  const { voters } = view.conf
  const after = act === 'promote' ? [...voters, id] : voters.filter((voter) => voter !== id)
  const margin = (ids: readonly RaftId[]): number =>
    ids.filter((each) => isHealthy(view, nowMs, options, each)).length - (Math.floor(ids.length / 2) + 1)
  const before = margin(voters)
  return before >= 0 && margin(after) >= (act === 'demote' ? 0 : before)
}

/** In words: what is not as wished, and what is awaited. */
function* waits(
  view: AutopilotView,
  nowMs: number,
  options: ResolvedAutopilotOptions,
  wish: AutopilotStep | undefined,
): Generator<Waiting> {
  const { voters, learners } = view.conf
  const living = voters.filter((id) => !isDead(view, nowMs, options, id)).length
  for (const id of voters) {
    if (id === wish?.id || isHealthy(view, nowMs, options, id)) continue
    const silent = said(silentMs(view, nowMs, id))
    if (!isDead(view, nowMs, options, id)) yield { id, why: `${silent}; it counts as dead after ${options.deadMs} ms` }
    else yield { id, why: `${silent}: dead; it keeps its place until a stable learner takes it` }
  }
  if (living >= options.voters) return
  if (learners.length === 0) {
    yield { id: undefined, why: `${living} of ${options.voters} wanted voters live, and there is no learner to promote` }
  }
  for (const id of learners) {
    if (id !== wish?.id) yield { id, why: whyNotReady(view, nowMs, options, id) }
  }
}

function whyNotReady(view: AutopilotView, nowMs: number, options: ResolvedAutopilotOptions, id: RaftId): string {
  if (!isHealthy(view, nowMs, options, id)) return said(silentMs(view, nowMs, id))
  const since = view.members.get(id)?.caughtUpSinceMs
  if (since === undefined) return 'it is catching up'
  if (nowMs - since < options.stableMs) return `it has caught up for ${Math.round(nowMs - since)} of ${options.stableMs} ms`
  return 'it is ready, and its turn comes after the present step'
}

function isHealthy(view: AutopilotView, nowMs: number, { healthyMs }: ResolvedAutopilotOptions, id: RaftId): boolean {
  return id === view.self || silentMs(view, nowMs, id) <= healthyMs
}

function isDead(view: AutopilotView, nowMs: number, { deadMs }: ResolvedAutopilotOptions, id: RaftId): boolean {
  return id !== view.self && silentMs(view, nowMs, id) >= deadMs
}

function isReady(view: AutopilotView, nowMs: number, options: ResolvedAutopilotOptions, id: RaftId): boolean {
  const since = view.members.get(id)?.caughtUpSinceMs
  return since !== undefined && nowMs - since >= options.stableMs && isHealthy(view, nowMs, options, id)
}

function silentMs({ members }: AutopilotView, nowMs: number, id: RaftId): number {
  return nowMs - (members.get(id)?.heardAtMs ?? Number.NEGATIVE_INFINITY)
}

/** The longest silent first. */
function bySilence({ members }: AutopilotView): (a: RaftId, b: RaftId) => number {
  return (a, b) => (members.get(a)?.heardAtMs ?? 0) - (members.get(b)?.heardAtMs ?? 0) || a - b
}

/** The longest caught up first. */
function byStability({ members }: AutopilotView): (a: RaftId, b: RaftId) => number {
  const since = (id: RaftId): number => members.get(id)?.caughtUpSinceMs ?? Number.MAX_SAFE_INTEGER
  return (a, b) => since(a) - since(b) || a - b
}

function said(silentForMs: number): string {
  return `silent for ${Math.round(silentForMs)} ms`
}
