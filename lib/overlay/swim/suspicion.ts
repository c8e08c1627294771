import type { NodeId } from '../../base/ids.js'
import type { Accusation } from './member.js'
import { type ResolvedSwimOptions, suspicionBounds } from './options.js'

/** Everything the end of a suspicion depends on. Times are this member's own. */
export interface Case {
  /** Testimony of members that are alive and to be believed. */
  readonly credible: readonly Accusation[]
  /** Members alive or suspect, the suspect and ourselves included. */
  readonly members: number
  /** When we first heard of it. */
  readonly sinceMs: number
  /** When we first heard of a refusal. */
  readonly refusedMs: number | undefined
  /** When its machine was last known to answer for it while it did not: in this suspicion, or one before. */
  readonly degradedMs: number | undefined
  /** When the member itself was last heard since then. */
  readonly heardMs: number | undefined
  /** Our own health score, when nobody but us accuses; else 0. */
  readonly doubt: number
}

/**
 * When the suspect counts as dead; infinite while nobody who is to be believed accuses it.
 *
 * - Two members whose connections were refused: after a short wait for a sign of life. One alone may stand behind a firewall.
 * - Its machine answers but it does not: it is paused, and silence is to be expected, up to `pauseToleranceMs`.
 * - Otherwise max − (max − min) · ln(C + 1) / ln(K + 1), C of the K confirmations that are hoped for; longer when our word is
 *   the only one and we have reason to doubt it.
 * @see Lifeguard (arXiv 1707.00788) §IV-B
 */
export function deadAtMs(facts: Case, options: ResolvedSwimOptions): number {
  const { credible, members, sinceMs, refusedMs, degradedMs, heardMs, doubt } = facts
  if (credible.length === 0) return Number.POSITIVE_INFINITY
  const refusals = credible.filter(({ saw }) => saw === 'refused').length
  if (refusedMs !== undefined && (heardMs === undefined || heardMs < refusedMs) && refusals >= witnessesNeeded(members)) {
    // Of two members one has only its own word: it asks it ten times.
    return refusedMs + options.refusedWindowMs * (members <= 2 ? 10 : 1)
  }
  const { minMs, maxMs } = suspicionBounds(members, options)
  // In a small group fewer can confirm; of two members nobody can.
  const hopedFor = Math.min(options.confirmations, members - 2)
  const confirmations = Math.min(hopedFor, credible.length - 1)
  const part = hopedFor <= 0 ? 1 : Math.log(confirmations + 1) / Math.log(hopedFor + 1)
  const silentMs = sinceMs + (maxMs - (maxMs - minMs) * part) * (1 + doubt / 4)
  return degradedMs === undefined ? silentMs : Math.max(silentMs, degradedMs + options.pauseToleranceMs)
}

/** Credible accusers without whom a refusal, or someone's verdict, is one opinion. */
export function witnessesNeeded(members: number): number {
  return members <= 2 ? 1 : 2
}

/** Accusers worth counting. */
export function credibleOf(accusations: readonly Accusation[], isBelieved: (accuser: NodeId) => boolean): readonly Accusation[] {
  return accusations.filter(({ by }) => isBelieved(by))
}
