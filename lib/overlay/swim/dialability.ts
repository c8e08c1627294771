import type { NodeId } from '../../base/ids.js'
import type { Local } from './local.js'
import { addressOf } from './member.js'

/**
 * Which members can be dialled, as far as this one found out: only of such a one does a refusal say that its process is gone. A peer
 * that can only dial out (address translation, a firewall) refuses everybody all its life. So whoever has a link to a member tries
 * its address once while both live.
 */
export class Dialability {
  readonly #local: Local
  /** The address at which a member took a connection. */
  readonly #takes = new Map<NodeId, string>()
  /** The address that was tried while its link stood. */
  readonly #tried = new Map<NodeId, string>()

  constructor(local: Local) {
    this.#local = local
  }

  /** True when its address took a connection, and nothing since says that others answer there. */
  isDialable(id: NodeId): boolean {
    const address = this.#takes.get(id)
    return address !== undefined && address === this.#addressOf(id)
  }

  /** Its link stands: finds out whether it could be dialled, once for each link and address. */
  look(id: NodeId): void {
    const { links, table } = this.#local
    const member = links.has(id) ? table.get(id) : undefined
    const address = member && addressOf(member)
    if (member === undefined || address === undefined) return
    if (this.#takes.get(id) === address || this.#tried.get(id) === address) return
    this.#tried.set(id, address)
    this.#local.triage(member)
  }

  /** Something took a connection there. */
  accepted(id: NodeId): void {
    const address = this.#addressOf(id)
    if (address !== undefined) this.#takes.set(id, address)
  }

  linkEnded(id: NodeId): void {
    this.#tried.delete(id)
  }

  /** It lives, and refused us all the same: somebody else answers there, for now. */
  refuted(id: NodeId): void {
    this.#takes.delete(id)
  }

  prune(): void {
    const { table } = this.#local
    for (const known of [this.#takes, this.#tried])
      for (const id of known.keys()) if (table.get(id) === undefined) known.delete(id)
  }

  #addressOf(id: NodeId): string | undefined {
    const member = this.#local.table.get(id)
    return member && addressOf(member)
  }
}
