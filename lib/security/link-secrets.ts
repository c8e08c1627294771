import { createHmac, timingSafeEqual } from 'node:crypto'
import type { LinkRole, SecretKind } from './identity.js'

/** Bytes of the random number each end adds, so that no proof is ever good twice. */
export const nonceBytes = 32
/** Bytes of a proof (HMAC-SHA256). */
export const proofBytes = 32

/** Which end of a link: who dialled, or who accepted. */
export type LinkSide = 'dialler' | 'acceptor'

/** What one end says of itself before it proves anything. */
export interface Claim {
  readonly node: string
  readonly role: LinkRole
  readonly cluster: string
  /** Random per process start: tells a restarted peer from the same one dialling twice. */
  readonly instance: string
  readonly nonce: Uint8Array
}

/** All that was said in a handshake; both ends prove they saw the same. */
export interface Transcript {
  readonly version: number
  /** Both ends' version ranges: nobody between them can talk the version down. */
  readonly ranges: readonly [diallerMin: number, diallerMax: number, acceptorMin: number, acceptorMax: number]
  readonly secret: SecretKind
  readonly dialler: Claim
  readonly acceptor: Claim
}

/**
 * Proof that this side knows the secret and saw this transcript; the secret itself never travels.
 * The side is part of what is signed, so an end's own proof sent back to it proves nothing (no reflection), and both
 * nonces are, so an old one proves nothing (no replay). What this cannot do, and mutual TLS will: hide or protect what
 * follows on the link from someone between the ends.
 * @see ISO/IEC 9798-4, mutual authentication in three passes with a keyed hash
 */
export function prove(side: LinkSide, secret: string, transcript: Transcript): Uint8Array {
  const { version, ranges, dialler, acceptor } = transcript
  const hmac = createHmac('sha256', secret)
  const parts = [
    'skein link',
    side,
    String(version),
    ranges.join(' '),
    transcript.secret,
    ...partsOf(dialler),
    ...partsOf(acceptor),
  ]
  for (const part of parts) {
    // Each part with its length: no two transcripts run together into the same bytes.
    const bytes = typeof part === 'string' ? Buffer.from(part) : part
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    hmac.update(length).update(bytes)
  }
  return hmac.digest()
}

/** Whether the proof is the one that side must give; in constant time. */
export function checkProof(proof: Uint8Array, side: LinkSide, secret: string, transcript: Transcript): boolean {
  return proof.length === proofBytes && timingSafeEqual(proof, prove(side, secret, transcript))
}

function partsOf({ node, role, cluster, instance, nonce }: Claim): readonly (string | Uint8Array)[] {
  return [node, role, cluster, instance, nonce]
}
