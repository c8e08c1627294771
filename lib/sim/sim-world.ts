import type { Random } from '../base/random.js'
import type { Moment } from '../raft/core/lease.js'
import type { MemoryStorageStart } from '../raft/core/memory-storage.js'
import type { Message } from '../raft/core/messages.js'
import type { ConfChange, ConfState, Entry, RaftId, Ready, Storage } from '../raft/core/state.js'
import type { BasicStatus, RaftStatus } from '../raft/core/status.js'
import type { Checks } from './checks.js'
import type { Damage } from './sim-disk.js'
import type { SimPlan } from './sim-plan.js'

/** What happens at a moment of virtual time. `life` tells events of a node apart from those of its earlier lives. */
export type SimEvent =
  /** The sender is not always `message.from`: a follower forwards what others asked. */
  | { readonly type: 'deliver'; readonly sender: RaftId; readonly message: Message }
  | { readonly type: 'tick'; readonly node: RaftId; readonly life: number }
  | { readonly type: 'synced'; readonly node: RaftId; readonly life: number }
  | { readonly type: 'applied'; readonly node: RaftId; readonly life: number }
  | { readonly type: 'flush'; readonly node: RaftId; readonly life: number }
  /** The end of a pause, with the ticks that were slept through, before anything that waited for it. */
  | { readonly type: 'wake'; readonly node: RaftId; readonly life: number; readonly ticks: number }
  /** A node no longer waits for its disk. Only nodes that lie do that. */
  | { readonly type: 'impatient'; readonly node: RaftId; readonly life: number; readonly responses: readonly Message[] }
  /** A client asks a leader to read by itself. */
  | { readonly type: 'lease-read'; readonly node: RaftId; readonly life: number; readonly request: number }
  | { readonly type: 'unreachable'; readonly node: RaftId; readonly to: RaftId }
  /** A node is told that the process of another is dead, which need not be true. */
  | { readonly type: 'refused'; readonly node: RaftId; readonly by: RaftId }
  /** Its turn to take the place of a lost leader. */
  | { readonly type: 'turn'; readonly node: RaftId; readonly life: number }
  | { readonly type: 'snapshot-sent'; readonly node: RaftId; readonly to: RaftId; readonly arrived: boolean }
  | { readonly type: 'restart'; readonly node: RaftId }
  | { readonly type: 'work' }
  | { readonly type: 'trouble' }

/** What a simulated node needs of a core; `RawNode` has it. */
export interface SimCore {
  tick(): void
  campaign(): void
  propose(data: Uint8Array): void
  proposeConfChange(change: ConfChange): void
  applyConfChange(change: ConfChange, index: number): ConfState
  step(message: Message): void
  hasReady(): boolean
  ready(): Ready
  advance(): void
  basicStatus(): BasicStatus
  status(): RaftStatus
  transferLeader(id: RaftId): void
  forgetLeader(): void
  readIndex(requestCtx: Uint8Array): void
  heartbeatsLeave(at: Moment): void
  leaseIndex(now: Moment): number | undefined
  reportUnreachable(id: RaftId): void
  reportSnapshot(id: RaftId, arrived: boolean): void
}

export type SimCoreConfig = SimPlan['core'] & {
  readonly id: RaftId
  readonly storage: Storage
  readonly applied: number
  readonly random: Random
}

/** Places where a test may make the world lie, to prove that the checks notice. None lies by default. */
export interface SimHooks {
  readonly createCore?: (config: SimCoreConfig) => SimCore
  /** Changes what a node finds on its disk at a restart. */
  readonly found?: (start: MemoryStorageStart, node: RaftId) => MemoryStorageStart
  /** Changes or drops what is on its way between nodes. */
  readonly carry?: (message: Message) => Message | undefined
  /** Changes or leaves out what the state machine is given. */
  readonly apply?: (entry: Entry, node: RaftId) => Entry | undefined
  /** When the disk says that a write is done. */
  readonly diskAnswers?: 'when-durable' | 'at-once' | 'after-a-while'
  /** Time units that a tick of a node lasts, in place of what was planned. */
  readonly tickLength?: (planned: number, node: RaftId) => number
  /** What comes of evidence that a process is dead. */
  readonly evidence?: 'believed' | 'ignored'
  /** What a failed sync does. */
  readonly syncFailure?: 'stops-the-node' | 'goes-unnoticed'
  /** Makes a log of a damaged one, and so keeps the node under its old id; undefined refuses, as an honest node always does. */
  readonly readDamaged?: (start: MemoryStorageStart, damage: Damage, node: RaftId) => MemoryStorageStart | undefined
}

/** What a node needs of the run it is in. */
export interface SimWorld {
  readonly plan: SimPlan
  readonly checks: Checks
  readonly hooks: SimHooks
  /** Makes lines for people; undefined unless somebody reads them. */
  readonly trace: ((line: string) => void) | undefined
  readonly now: number
  after(delay: number, event: SimEvent): void
  post(sender: RaftId, message: Message): void
  /** The process of a node is gone. */
  died(id: RaftId): void
}
