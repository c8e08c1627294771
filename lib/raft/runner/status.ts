import type { ConfState, ProgressStatus, RaftId, RawNode } from '../core/index.js'
import type { Applier } from './applier.js'
import type { SnapshotTransfer } from './outgoing-snapshots.js'
import { type RaftRole, roleOf } from './role-news.js'

export interface QuorumStatus {
  readonly voters: number
  /** Voters this peer heard from within an election timeout, itself included. A follower hears only its leader. */
  readonly reachable: number
  /** The voters among `reachable`: heard within the last election timeout. (Raft's own activity flags are cleared at each check of the quorum.) */
  readonly answering: readonly RaftId[]
}

/** A picture of one peer, for people and for whoever watches over membership. */
export interface RaftRunnerStatus {
  readonly id: RaftId
  readonly term: number
  /** 0: unknown. */
  readonly leader: RaftId | 0
  readonly role: RaftRole
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  readonly conf: ConfState
  /** By member; empty unless this peer leads. */
  readonly progress: ReadonlyMap<RaftId, ProgressStatus>
  readonly quorum: QuorumStatus
  /** Snapshots on their way from and to this peer. */
  readonly transfers: readonly SnapshotTransfer[]
}

export function runnerStatusOf(
  node: RawNode,
  applier: Applier,
  quorum: QuorumStatus,
  transfers: readonly SnapshotTransfer[],
): RaftRunnerStatus {
  const { id, term, lead, commit, progress, raftState } = node.status()
  return {
    id,
    term,
    leader: lead,
    role: roleOf({ raftState }),
    commitIndex: commit,
    appliedIndex: applier.appliedIndex,
    lastIndex: node.lastIndex(),
    conf: applier.conf,
    progress,
    quorum,
    transfers,
  }
}

/**
 * When each peer was last heard: in milliseconds of this process, to be shown, and in its ticks, by which silence is judged.
 * While this process stood still no tick passed, and nobody was silent.
 */
export class Contacts {
  readonly #heard = new Map<RaftId, { readonly atMs: number; readonly atTick: number }>()
  #ticks = 0

  tick(): void {
    this.#ticks++
  }

  heard(id: RaftId, nowMs: number): void {
    this.#heard.set(id, { atMs: nowMs, atTick: this.#ticks })
  }

  /** Undefined if it was never heard. */
  heardAtMs(id: RaftId): number | undefined {
    return this.#heard.get(id)?.atMs
  }

  isHeard(id: RaftId, withinTicks: number): boolean {
    return this.#ticks - (this.#heard.get(id)?.atTick ?? Number.NEGATIVE_INFINITY) <= withinTicks
  }

  quorum(self: RaftId, { voters }: ConfState, withinTicks: number): QuorumStatus {
    const answering = voters.filter((id) => id === self || this.isHeard(id, withinTicks))
    return { voters: voters.length, reachable: answering.length, answering }
  }
}
