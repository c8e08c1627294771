/** Whom a process believes, and how it finds out who the other end of a link is. Pure but for the signatures it checks. */
import { SkeinError } from '../base/errors.js'
import { parseNodeId } from '../base/ids.js'
import { digestOf, isIssuedBy, type ReadCertificate, readCertificate, roleOf, type Validity } from './certificate.js'
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

/** Whether the cluster's record of a node names this key; nobody's, for who has no records. */
export type KeyRecords = (node: string, key: string) => boolean
export const noRecords: KeyRecords = () => false

/** Certificates an end may send along. */
export const chainMax = 16
/** Roots between a certificate and the trusted one: how many rotations a peer can sleep through. */
const depthMax = 8

/**
 * Who that is, by this trust at this time.
 * @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE (`detail.reason`), ERR_SKEIN_OTHER_CLUSTER
 */
export function identify(
  trust: Trust,
  { certificate, chain }: Shown,
  theirSide: LinkSide,
  nowMs: number,
  isOnRecord: KeyRecords = noRecords,
): Identity {
  if (certificate === undefined) {
    if (theirSide === 'acceptor' || trust.type === 'pin') throw bad('missing', 'it showed none')
    return { node: '', role: 'newcomer', cluster: trust.cluster, key: '' }
  }
  const leaf = readCertificate(certificate)
  const { cluster, name } = leaf.subject
  const anchor = findAnchor(trust, leaf, chain)
  if (anchor === undefined) {
    // What an unproved certificate says is good for a message, and for nothing else.
    if (trust.type === 'roots' && cluster !== trust.cluster) throw otherCluster(trust.cluster, cluster)
    throw bad(
      'unknown-root',
      'no root that this peer trusts has issued it; if the cluster’s root was rotated, take the join string again from a manager',
    )
  }
  if (trust.type === 'roots' && cluster !== trust.cluster) throw otherCluster(trust.cluster, cluster)
  // Said of its own before what is wrong above it: a clock that is off shows here first.
  checkTime(leaf, nowMs)
  checkTime(anchor, nowMs)
  const role = roleOf(leaf)
  if (role === undefined)
    throw bad('wrong-role', `its role ${leaf.subject.unit || 'none'} is not one of a cluster’s peers and clients`)
  const isClient = role === 'operator' || role === 'app'
  if (isClient && theirSide === 'acceptor') throw bad('wrong-role', `a ${role} takes no links`)
  const node = isClient ? '' : parseNodeId(name, 'certificate.CN')
  const key = leaf.fingerprint
  // A renewal needs a quorum, and the quorum may need this very manager: its key on record is proof enough that it is one.
  const counts = anchor.state === 'trusted' || (role === 'manager' && isOnRecord(node, key))
  return { node, role: counts ? role : 'returning', cluster, key }
}

/**
 * So far behind the issuer's a clock may be, besides the hour that certificates begin before their making: one that is set to local
 * time instead of UTC is off by up to 14 hours. It costs no safety, since nobody can steal a key that is not made yet.
 */
const behindMs = 23 * 3_600_000

const again = 'a worker joins again with an empty directory, and a manager is started again'

/** @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE: expired, not-yet-valid (by more than `behindMs`) */
export function checkTime({ notBeforeMs, notAfterMs }: Validity, nowMs: number): void {
  const clock = `this machine’s clock says ${iso(nowMs)}`
  if (nowMs + behindMs < notBeforeMs)
    throw bad('not-yet-valid', `it begins at ${iso(notBeforeMs)}, and ${clock}; set the clocks right; if they are, ${again}`)
  if (nowMs > notAfterMs) throw bad('expired', `it ended at ${iso(notAfterMs)}, and ${clock}; if the clocks are right, ${again}`)
}

/** True while nobody refuses a certificate for its time. */
export function isInTime({ notBeforeMs, notAfterMs }: Validity, nowMs: number): boolean {
  return nowMs + behindMs >= notBeforeMs && nowMs <= notAfterMs
}

/** What the walk up from a certificate ends at, and when everything on the way is valid. */
interface Anchor extends Validity {
  readonly state: 'trusted' | 'retired'
}

function findAnchor(trust: Trust, leaf: ReadCertificate, chain: readonly Uint8Array[]): Anchor | undefined {
  // A stranger's chain costs signatures to check: no more of them than a cluster can have roots.
  const sent = chain.slice(0, chainMax)
  if (trust.type === 'pin') {
    const pinned = sent.find((each) => digestOf(each) === trust.digest)
    return pinned && walk(leaf, sent, [pinned], 'trusted')
  }
  // Crosses lead up from a newer root than we know; from an old certificate there is no way to a newer root.
  return walk(leaf, sent, trust.roots, 'trusted') ?? walk(leaf, [], trust.retired, 'retired')
}

function walk(
  from: ReadCertificate,
  between: readonly Uint8Array[],
  anchors: readonly Uint8Array[],
  state: Anchor['state'],
): Anchor | undefined {
  const ends = anchors.map(readRoot)
  // Most certificates are a root's own issue: what lies between is read when it is needed.
  let left: readonly ReadCertificate[] | undefined
  let reached: readonly { readonly at: ReadCertificate; readonly valid: Validity }[] = [{ at: from, valid: from }]
  for (let depth = 0; depth < depthMax && reached.length > 0; depth++) {
    for (const { at, valid } of reached) {
      const end = ends.find((each) => isIssuedBy(at, each))
      if (end !== undefined) return { state, ...both(valid, end) }
    }
    left ??= between.map(readCertificate)
    const next = left.flatMap((at) => {
      const child = reached.find((each) => isIssuedBy(each.at, at))
      return child === undefined ? [] : [{ at, valid: both(child.valid, at) }]
    })
    left = left.filter((each) => !next.some(({ at }) => at === each))
    reached = next
  }
  return undefined
}

/** As they were read: the same few at every handshake, and reading one takes longer than checking a signature. */
const readRoots = new WeakMap<Uint8Array, ReadCertificate>()

function readRoot(der: Uint8Array): ReadCertificate {
  const known = readRoots.get(der) ?? readCertificate(der)
  readRoots.set(der, known)
  return known
}

function both(one: Validity, other: Validity): Validity {
  return {
    notBeforeMs: Math.max(one.notBeforeMs, other.notBeforeMs),
    notAfterMs: Math.min(one.notAfterMs, other.notAfterMs),
  }
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
