import type { Keyring } from './keyring.js'

/** Who may come into the cluster and what its members share: roots, join tokens, keys of datagrams. What is secret in it is sealed with the cluster's data key. */
export interface Access {
  /** The newest first: it issues. */
  readonly roots: readonly Root[]
  /** Sealed secrets of the join tokens. */
  readonly tokens: { readonly manager: Uint8Array; readonly worker: Uint8Array }
  /** Fingerprints of token secrets that were rotated away, newest first, so that a refusal can say so. */
  readonly revoked: readonly string[]
  /** Keys of datagrams, each secret sealed; undefined until the first leader made them. */
  readonly keyring: Keyring | undefined
}

export interface Root {
  /** DER, signed by itself. */
  readonly certificate: Uint8Array
  /** DER: its key certified by the root before, for whoever knows only that one. */
  readonly cross: Uint8Array | undefined
  /** Sealed PKCS 8; undefined once it does not issue any more. */
  readonly key: Uint8Array | undefined
  /** `retired`: what it issued is only good for asking for a new certificate. */
  readonly state: 'trusted' | 'retired'
}

/** What the cluster knows of a node's certificate. */
export interface NodeCertificate {
  /** Fingerprint of the node's public key: only its holder may be this node. */
  readonly key: string
  /** Of the key it asked with: all it has when the answer got lost. Undefined when it joined with this one. */
  readonly before?: string | undefined
  /** Digest of the root that issued it. */
  readonly root: string
  readonly notAfterMs: number
}
