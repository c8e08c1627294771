/** When a certificate is renewed. Pure. */
import { SkeinError } from '../base/errors.js'
import { lifetimes } from './authority.js'
import type { Validity } from './certificate.js'
import { isInTime } from './trust.js'

/** The share of a certificate's life after which it is renewed at the earliest and at the latest: a cluster's nodes spread over it. */
export const renewalWindow = { from: 0.5, to: 0.8 } as const

/** After a failure: soon enough that a life of an hour survives it, and rare enough that a thousand nodes are no load. */
const retryShare = 0.02
const retryMinMs = 1_000
const retryMaxMs = 3_600_000

/** Where in the window this certificate's renewal lies. @param chance in [0, 1), drawn once per certificate. */
export function renewalAtMs({ notBeforeMs, notAfterMs }: Validity, chance: number): number {
  const { from, to } = renewalWindow
  return notBeforeMs + (notAfterMs - notBeforeMs) * (from + (to - from) * chance)
}

/**
 * Milliseconds until the next look: never longer than an hour, since a clock that is set anew moves the moment; 0 when it is due, as one
 * is that begins in the future: whoever made it had another time.
 * @param failures tries that failed since it was due.
 */
export function renewalDelayMs(validity: Validity, chance: number, nowMs: number, failures: number): number {
  const leftMs = renewalAtMs(validity, chance) - nowMs
  if (leftMs > 0 && isInTime(validity, nowMs)) return Math.min(leftMs, retryMaxMs)
  if (failures === 0) return 0
  const lifeMs = validity.notAfterMs - validity.notBeforeMs
  const baseMs = Math.max(retryMinMs, Math.min(lifeMs * retryShare, 60_000))
  return Math.min(baseMs * 2 ** Math.min(failures - 1, 16), retryMaxMs, Math.max(retryMinMs, lifeMs * retryShare * 5))
}

/**
 * Checks a certificate that was made just now: nobody with a clock like ours would take one that is not in time.
 * @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE: expired, not-yet-valid; the words name both clocks
 */
export function checkNew(validity: Validity, nowMs: number): void {
  if (isInTime(validity, nowMs)) return
  const reason = nowMs > validity.notAfterMs ? 'expired' : 'not-yet-valid'
  const [theirs, ours] = [validity.notBeforeMs + lifetimes.backdateMs, nowMs].map((atMs) => new Date(atMs).toISOString())
  throw new SkeinError(
    'ERR_SKEIN_BAD_CERTIFICATE',
    `certificate (${reason}): it was made just now by a manager whose clock says ${theirs}, and this machine’s clock says ${ours}; it is not taken until the one that is wrong is set right`,
    { reason },
  )
}
