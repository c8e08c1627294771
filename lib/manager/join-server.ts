import type { JoinAnswer, JoinApi, JoinRequest } from '../api/join.js'
import type { ManagerAddress } from '../api/session.js'
import { SkeinError } from '../base/errors.js'
import { below, type Random } from '../base/random.js'
import type { NodeRole } from '../model/node.js'
import type { Store } from '../store/store.js'

/** Largest raft id: still an exact number in every encoding. */
const raftIdBound = 2 ** 48 - 1

export interface JoinWorld {
  readonly store: Store
  readonly random: Random
  managers(): readonly ManagerAddress[]
  /** Raft ids that are or were in the configuration; never given again. */
  raftIdTaken(id: number): boolean
}

/** JoinApi carried out by the leader. */
export class JoinServer implements JoinApi {
  readonly #world: JoinWorld

  constructor(world: JoinWorld) {
    this.#world = world
  }

  async join(node: string, role: NodeRole, request: JoinRequest): Promise<JoinAnswer> {
    const { store } = this.#world
    const cluster = store.view().cluster
    if (cluster === undefined)
      throw new SkeinError('ERR_SKEIN_PRECONDITION', 'the cluster is still being founded; try again', { what: 'founding' })
    if (cluster.removedNodes.includes(node)) {
      throw new SkeinError('ERR_SKEIN_REMOVED', `node ${node} was removed from this cluster; join with an empty directory`, {
        node,
      })
    }
    const known = store.view().node(node)
    if (known === undefined) {
      await store.submit(
        [
          {
            op: 'node.create',
            id: node,
            role,
            raftId: role === 'manager' ? this.#newRaftId() : undefined,
            name: request.name,
            address: request.address,
            availability: request.availability,
            labels: request.labels,
          },
        ],
        { by: node },
      )
    } else if (known.address !== request.address) {
      await store.submit([{ op: 'node.update', id: node, address: request.address }], { by: node })
    }
    const record = store.view().node(node)
    if (record === undefined) throw new SkeinError('ERR_SKEIN_REMOVED', `node ${node} was removed while it joined`, { node })
    const { manager, worker } = cluster.secrets
    return {
      cluster: cluster.id,
      raftId: record.raftId,
      // The proof made at the handshake decides what is handed out, not the record.
      secrets: role === 'manager' ? { manager, worker } : { worker },
      managers: this.#world.managers(),
    }
  }

  #newRaftId(): number {
    for (;;) {
      const id = 1 + below(this.#world.random, raftIdBound)
      if (!this.#world.raftIdTaken(id)) return id
    }
  }
}
