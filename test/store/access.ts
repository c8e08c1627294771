import type { Access } from '../../lib/model/index.js'

/** Stands for roots and tokens where nobody looks into them. */
export const someAccess: Access = {
  roots: [{ certificate: Uint8Array.of(1), cross: undefined, key: Uint8Array.of(2), state: 'trusted' }],
  tokens: { manager: Uint8Array.of(3), worker: Uint8Array.of(4) },
  revoked: [],
  keyring: {
    previous: undefined,
    primary: { id: 0, secret: Uint8Array.of(5), removals: 0 },
    next: { id: 1, secret: Uint8Array.of(6), removals: 1 },
    rotatedAtMs: 7,
  },
}
