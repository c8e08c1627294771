/**
 * security: who the other end of a link is, and what it may do.
 *
 * May import: base, model, storage. Must never know: raft, the store, how bytes travel.
 * In this version a link is proved with a shared secret; mutual TLS will make the same `Identity` from a certificate.
 * @module
 */
export * from './authorize.js'
export * from './identity.js'
export * from './join-token.js'
export * from './link-secrets.js'
