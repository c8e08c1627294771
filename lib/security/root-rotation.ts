/**
 * How a root rotation goes on. Pure: the replicated record and the nodes' certificates in, the next step out.
 *
 * A new root issues at once and is certified by the old one, so that nobody has to be told before; both are trusted. Nodes that
 * are up renew; once all of them have, the old root is retired. Nodes that were away come back with a certificate of a
 * retired root: it is good for nothing but a new one, and only with the key the cluster remembers of that node.
 */
import type { Access, NodeCertificate } from '../model/access.js'
import type { NodeState } from '../model/node.js'
import { issuingRoot } from './authority.js'
import { digestOf } from './certificate.js'

/** A node as the rotation sees it. */
export interface RotatingNode {
  readonly id: string
  readonly state: NodeState
  readonly certificate?: NodeCertificate | undefined
}

export type RotationStep =
  | { readonly type: 'idle' }
  /** These nodes are up and have not renewed yet. */
  | { readonly type: 'waiting'; readonly nodes: readonly string[] }
  /** Nobody who is up needs the old root any more. */
  | { readonly type: 'retire' }

/** What a rotation needs next. A node that is `unknown` (to a new leader) is waited for; one that is down is not. */
export function rotationStep(access: Access, nodes: Iterable<RotatingNode>): RotationStep {
  if (access.roots.filter(({ state }) => state === 'trusted').length <= 1) return { type: 'idle' }
  const present = digestOf(issuingRoot(access).certificate)
  const waiting = [...nodes].filter(({ state, certificate }) => state !== 'down' && certificate?.root !== present)
  return waiting.length === 0 ? { type: 'retire' } : { type: 'waiting', nodes: waiting.map(({ id }) => id) }
}
