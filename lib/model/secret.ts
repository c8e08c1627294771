/** Secrets: payloads that tasks may read and nobody else. The record holds them sealed; only a manager's data key opens them. */
import { type PayloadHead, payloadBytesMax, refuseLarger } from './payload.js'

/** What sealing may add to a value. */
export const sealingBytesMax = 64

/** The replicated record. */
export interface Secret extends PayloadHead {
  /** Ciphertext, bound to this id and cluster. */
  readonly sealed: Uint8Array
}

/** @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
export function checkSealed(sealed: Uint8Array): Uint8Array {
  refuseLarger('secret', sealed.length, payloadBytesMax.secret + sealingBytesMax)
  return sealed
}
