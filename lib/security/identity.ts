/**
 * What a process is to the cluster.
 * - `manager`, `worker`: a peer, by its node's certificate.
 * - `operator`: a person's or program's client that may do what operators do; `app`: one that may do what a worker's app may.
 * - `newcomer`: has no certificate yet; may only ask for one.
 * - `returning`: has one from a root retired while it was away; may only ask for a new one. A manager whose key is on record is a manager still.
 * - `demoted`: has a manager's, and is none any more; may only ask for a new one.
 */
export type LinkRole = 'manager' | 'worker' | 'operator' | 'app' | 'newcomer' | 'returning' | 'demoted'

/** Roles a certificate can give: its OU. */
export const certifiedRoles = ['manager', 'worker', 'operator', 'app'] as const
export type CertifiedRole = (typeof certifiedRoles)[number]

/** Which of a cluster's two join tokens. */
export type TokenRole = 'manager' | 'worker'

/** Which end of a link: who dialled, or who accepted. */
export type LinkSide = 'dialler' | 'acceptor'

/** Who the other end of a link is. Everything above the handshake goes by this and never asks how it was proved. */
export interface Identity {
  /** Node id; '' for clients and newcomers. */
  readonly node: string
  readonly role: LinkRole
  readonly cluster: string
  /** Fingerprint of the public key it proved to hold; '' for a newcomer. */
  readonly key: string
}

/** Is a member of the cluster, by a certificate that is good for nothing but asking for the next one. */
export function mustRenew({ role }: Pick<Identity, 'role'>): boolean {
  return role === 'returning' || role === 'demoted'
}
