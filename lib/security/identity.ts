/** What a process is to the cluster. A newcomer is on its way in: it may only ask to join. */
export type LinkRole = 'manager' | 'worker' | 'client' | 'newcomer'

/** Which of a cluster's two join secrets. */
export type SecretKind = 'manager' | 'worker'

/**
 * Who the other end of a link is. Everything above the handshake goes by this and never asks how it was proved: today by
 * a join secret (`link-secrets`), later by a certificate.
 */
export interface Identity {
  /** Node id; '' for a client, and for a newcomer that has none yet. */
  readonly node: string
  readonly role: LinkRole
  readonly cluster: string
  /** The secret it proved to know. A newcomer with the manager's may join as manager, else as worker. */
  readonly proved: SecretKind
}

/** The secrets a process holds: managers both, workers the worker's, a client one of them. */
export interface Secrets {
  readonly manager?: string
  readonly worker?: string
}

/** The secret a dialler of this role proves itself with; undefined when it holds none that would do. */
export function secretToProve(role: LinkRole, secrets: Secrets): SecretKind | undefined {
  if (role === 'worker') return secrets.worker === undefined ? undefined : 'worker'
  if (secrets.manager !== undefined) return 'manager'
  // A client of a worker: the worker passes on what it asks, as it does its own.
  return role !== 'manager' && secrets.worker !== undefined ? 'worker' : undefined
}

/** Whether knowing this secret lets a dialler claim this role. */
export function mayClaim(role: LinkRole, proved: SecretKind): boolean {
  return proved === 'manager' ? role !== 'worker' : role !== 'manager'
}
