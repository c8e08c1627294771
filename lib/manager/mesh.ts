import type { ManagerAddress } from '../api/session.js'
import type { Clock } from '../base/clock.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { View } from '../store/view.js'
import type { RaftLinks } from './raft-links.js'

export interface MeshWorld {
  /** Own node id. */
  readonly node: string
  readonly clock: Clock
  readonly pool: Pick<LinkPool, 'keep' | 'release' | 'forget'>
  readonly links: Pick<RaftLinks, 'learn'>
  view(): View
  /** Managers known from joining, before the tables say so. */
  readonly known: readonly ManagerAddress[]
}

/** Who was a manager hears of it over the link there is; then that goes. */
const goodbyeMs = 1_000
const user = 'mesh'

/** Managers form a full mesh: each keeps a link to every other one, as the records say. */
export class Mesh {
  readonly #world: MeshWorld
  readonly #kept = new Set<string>()
  readonly #goodbyes = new Map<string, () => void>()

  constructor(world: MeshWorld) {
    this.#world = world
  }

  /** Goes by the records of now. */
  learn(): void {
    const { node, pool, links, view, known } = this.#world
    const managers = [...view().nodes()].filter(({ role }) => role === 'manager')
    for (const { id, raftId } of managers) if (raftId !== undefined) links.learn(raftId, id)
    const wanted = managers.length > 0 ? managers.map(({ id, address }) => ({ node: id, address })) : known
    for (const { node: id, address } of wanted) if (id !== node) this.#keep(id, address)
    for (const id of this.#kept) if (!wanted.some((each) => each.node === id)) this.#takeLeave(id)
    for (const gone of view().cluster?.removedNodes ?? []) {
      this.#stay(gone)
      this.#kept.delete(gone)
      pool.forget(gone)
    }
  }

  stop(): void {
    for (const id of [...this.#goodbyes.keys()]) this.#stay(id)
  }

  /** After `stop`, for a peer that goes on without being a manager: no link is kept for this any more. */
  release(): void {
    for (const id of [...this.#kept]) this.#release(id)
  }

  #keep(id: string, address: string): void {
    this.#stay(id)
    this.#kept.add(id)
    this.#world.pool.keep(id, address, user)
  }

  #takeLeave(id: string): void {
    if (!this.#goodbyes.has(id))
      this.#goodbyes.set(
        id,
        this.#world.clock.after(goodbyeMs, () => this.#release(id)),
      )
  }

  #release(id: string): void {
    this.#stay(id)
    this.#kept.delete(id)
    this.#world.pool.release(id, user)
  }

  #stay(id: string): void {
    this.#goodbyes.get(id)?.()
    this.#goodbyes.delete(id)
  }
}
