/**
 * security: who the other end of a link is, and what it may do.
 *
 * May import: base, model, storage. Must never know: raft, the store, how bytes travel.
 * Certificates of our own making prove who is who (`certificate`, `trust`, `credentials`); `authority` issues them from the
 * replicated record; a join token pins the root and lets a newcomer ask for one; `authorize` is the table of who may do what.
 * @module
 */
export * from './authority.js'
export * from './authorize.js'
export {
  certificateMaxBytes,
  digestOf,
  issueCertificate,
  type ReadCertificate,
  readCertificate,
  type Subject,
  serialBytes,
  type Validity,
} from './certificate.js'
export { openKeyring, withNextKeyring } from './cluster-keys.js'
export * from './credentials.js'
export { type FoundingRoot, foundingRoot } from './founding-root.js'
export * from './identity.js'
export * from './join-token.js'
export * from './key-store.js'
export * from './key-string.js'
export { checkPublicKey, fingerprint, type KeyPair, makeKeyPair } from './keys.js'
export { LogSealing } from './log-sealing.js'
export * from './possession.js'
export { isSealed, RecordSealer, type RecordSealing, sealedExtraBytes } from './record-sealer.js'
export * from './renewal.js'
export * from './root-rotation.js'
export { makeSealKey, seal, unseal } from './seal.js'
export { openSecret, sealSecret } from './secret-sealing.js'
export { TableSealing } from './table-sealing.js'
export * from './trust.js'
