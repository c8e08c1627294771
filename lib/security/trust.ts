/** Whom a process believes, and how it finds out who the other end of a link is. Pure but for the signatures it checks. */
import { SkeinError } from '../base/errors.js'
import { parseNodeId } from '../base/ids.js'
import { digestOf, isIssuedBy, type ReadCertificate, readCertificate, roleOf } from './certificate.js'
import type { Identity, LinkSide } from './identity.js'

/** What a process believes in. */
export type Trust =
  /** A member: the cluster's roots, those that count and those that were retired. */
  | {
      readonly type: 'roots'
      readonly cluster: string
      /** DER, the newest first. */
      readonly roots: readonly Uint8Array[]
      readonly retired: readonly Uint8Array[]
      /** DER: keys of newer roots certified by older ones; shown to whoever knows only an older root. */
      readonly crosses: readonly Uint8Array[]
    }
  /** Somebody with a join token: whatever root has this digest (SHA-256, hex). */
  | { readonly type: 'pin'; readonly digest: string }

/** What the other end showed. */
export interface Shown {
  /** DER of the certificate whose key the connection proved it to hold; undefined when it showed none. */
  readonly certificate: Uint8Array | undefined
  /** Roots and crosses it sent along, in no order. */
  readonly chain: readonly Uint8Array[]
}

/** Certificates an end may send along. */
export const chainMax = 16
/** Roots between a certificate and the trusted one: how many rotations a peer can sleep through. */
const depthMax = 8

/**
 * Who that is, by this trust at this time.
 * @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE (`detail.reason`), ERR_SKEIN_OTHER_CLUSTER
 */
export function identify(trust: Trust, { certificate, chain }: Shown, theirSide: LinkSide, nowMs: number): Identity {
  if (certificate === undefined) {
    if (theirSide === 'acceptor' || trust.type === 'pin') throw bad('missing', 'it showed none')
    return { node: '', role: 'newcomer', cluster: trust.cluster, key: '' }
  }
  const leaf = readCertificate(certificate)
  const { cluster, name } = leaf.subject
  const anchor = findAnchor(trust, leaf, chain, nowMs)
  if (anchor === undefined) {
    // What an unproved certificate says is good for a message, and for nothing else.
    if (trust.type === 'roots' && cluster !== trust.cluster) throw otherCluster(trust.cluster, cluster)
    throw bad(
      'unknown-root',
      'no root that this peer trusts has issued it; if the cluster’s root was rotated, take the join string again from a manager',
    )
  }
  if (trust.type === 'roots' && cluster !== trust.cluster) throw otherCluster(trust.cluster, cluster)
  const role = roleOf(leaf)
  if (role === undefined)
    throw bad('wrong-role', `its role ${leaf.subject.unit || 'none'} is not one of a cluster’s peers and clients`)
  const isClient = role === 'operator' || role === 'app'
  if (isClient && theirSide === 'acceptor') throw bad('wrong-role', `a ${role} takes no links`)
  checkTime(leaf, nowMs)
  const node = isClient ? '' : parseNodeId(name, 'certificate.CN')
  return { node, role: anchor === 'retired' ? 'returning' : role, cluster, key: leaf.fingerprint }
}

/** @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE: expired, not-yet-valid */
export function checkTime({ notBeforeMs, notAfterMs }: Pick<ReadCertificate, 'notBeforeMs' | 'notAfterMs'>, nowMs: number): void {
  const clock = `this machine’s clock says ${iso(nowMs)}`
  if (nowMs < notBeforeMs) throw bad('not-yet-valid', `it begins at ${iso(notBeforeMs)}, and ${clock}; set the clocks right`)
  if (nowMs > notAfterMs)
    throw bad(
      'expired',
      `it ended at ${iso(notAfterMs)}, and ${clock}; if the clocks are right, join again with an empty directory`,
    )
}

/** What the walk up from the certificate ends at. */
function findAnchor(
  trust: Trust,
  leaf: ReadCertificate,
  chain: readonly Uint8Array[],
  nowMs: number,
): 'trusted' | 'retired' | undefined {
  // A stranger's chain costs signatures to check: no more of them than a cluster can have roots.
  const sent = chain.slice(0, chainMax)
  if (trust.type === 'pin') {
    const pinned = sent.find((each) => digestOf(each) === trust.digest)
    return pinned !== undefined && reaches(leaf, sent, [pinned], nowMs) ? 'trusted' : undefined
  }
  // Crosses lead up from a newer root than we know; from an old certificate there is no way to a newer root.
  if (reaches(leaf, sent, trust.roots, nowMs)) return 'trusted'
  return reaches(leaf, [], trust.retired, nowMs) ? 'retired' : undefined
}

function reaches(from: ReadCertificate, between: readonly Uint8Array[], anchors: readonly Uint8Array[], nowMs: number): boolean {
  const ends = anchors.map(readCertificate)
  let reached: readonly ReadCertificate[] = [from]
  let left = between.map(readCertificate).filter((each) => isTimely(each, nowMs))
  for (let depth = 0; depth < depthMax && reached.length > 0; depth++) {
    if (reached.some((each) => ends.some((end) => isTimely(end, nowMs) && isIssuedBy(each, end)))) return true
    const next = left.filter((each) => reached.some((child) => isIssuedBy(child, each)))
    left = left.filter((each) => !next.includes(each))
    reached = next
  }
  return false
}

function isTimely({ notBeforeMs, notAfterMs }: ReadCertificate, nowMs: number): boolean {
  return nowMs >= notBeforeMs && nowMs <= notAfterMs
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}

function bad(
  reason: SkeinError<'ERR_SKEIN_BAD_CERTIFICATE'>['detail']['reason'],
  words: string,
): SkeinError<'ERR_SKEIN_BAD_CERTIFICATE'> {
  return new SkeinError('ERR_SKEIN_BAD_CERTIFICATE', `certificate (${reason}): ${words}`, { reason })
}

function otherCluster(ours: string, theirs: string): SkeinError<'ERR_SKEIN_OTHER_CLUSTER'> {
  return new SkeinError('ERR_SKEIN_OTHER_CLUSTER', `its certificate is of cluster ${theirs || 'unknown'}, not of ${ours}`, {
    ours,
    theirs,
  })
}
