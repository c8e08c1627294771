/** Proof that a newcomer holds the key it asks a certificate for, made on this connection and no other. */
import { type KeyPair, signBytes, verifyBytes } from './keys.js'

/** Bytes of a connection's binding: keying material both ends of one TLS connection have, and nobody else (RFC 9266). */
export const bindingBytes = 32

/** What is proved: this key, for this purpose and node, on this connection. */
export interface PossessionClaim {
  readonly purpose: 'join' | 'renew' | 'credential'
  /** Node id, or the id of a client. */
  readonly id: string
  readonly publicKey: Uint8Array
  readonly binding: Uint8Array
}

export function provePossession(keys: KeyPair, claim: PossessionClaim): Uint8Array {
  return signBytes(keys, bytesOf(claim))
}

export function checkPossession(claim: PossessionClaim, proof: Uint8Array): boolean {
  return claim.binding.length === bindingBytes && verifyBytes(claim.publicKey, bytesOf(claim), proof)
}

/** Each part with its length: no two claims run together into the same bytes. */
function bytesOf({ purpose, id, publicKey, binding }: PossessionClaim): Uint8Array {
  const parts = ['skein possession 1', purpose, id, publicKey, binding].map((part) => {
    const bytes = Buffer.from(part)
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  })
  return Buffer.concat(parts)
}
