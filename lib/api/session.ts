import type { NodeDescription } from '../model/node.js'
import type { ResolvedServiceSpec } from '../model/service.js'
import type { DesiredState, TaskState } from '../model/task.js'

/**
 * SessionApi: what a worker asks of the leading manager, itself or through another one. The node's id comes from the link's identity, never from the payload.
 * Source: Docker Swarm's dispatcher.
 */
export interface SessionApi {
  /**
   * Registers the node and opens a session.
   * @throws ERR_SKEIN_NOT_LEADER (detail.leader, detail.address), ERR_SKEIN_REMOVED, ERR_SKEIN_NOT_FOUND, ERR_SKEIN_BUSY (detail.retryAfterMs)
   */
  open(node: string, hello: SessionHello): Promise<SessionOpened>
  /**
   * Keeps the session alive.
   * @param agoMs milliseconds since it was heard, where it was passed on; default 0
   * @throws ERR_SKEIN_SESSION_INVALID, ERR_SKEIN_NOT_LEADER
   */
  beat(node: string, session: string, agoMs?: number): Promise<BeatAnswer>
  /** First one `complete` message, then `incremental` ones. @throws ERR_SKEIN_SESSION_INVALID */
  assignments(node: string, session: string, signal: AbortSignal): AsyncIterable<Assignments>
  /** Observed states; `forget` names tasks the cluster does not know: the agent stops and forgets them. */
  report(node: string, session: string, reports: readonly TaskReport[]): Promise<{ readonly forget: readonly string[] }>
  /** A goodbye: the peer stops, its node is down at once and its tasks are replaced without waiting for silence. */
  leave(node: string, session: string): Promise<void>
}

export interface BeatAnswer {
  /** Milliseconds until the next one is due. */
  readonly heartbeatMs: number
  /** Milliseconds since a majority last confirmed that whoever answers leads; left out: it never did, or says nothing of it. */
  readonly ledAgoMs?: number
}

export interface SessionHello {
  readonly description: NodeDescription
  readonly address: string
  /**
   * The latest of tasks the manager may not have heard yet, at most `helloReportsMax`, ends first: recorded before the node is ready,
   * so that a task that ended while its node was away is not taken for one that came back with it.
   */
  readonly reports: readonly TaskReport[]
}

export const helloReportsMax = 1_000

export interface SessionOpened {
  readonly session: string
  readonly heartbeatMs: number
  /** Where managers can be reached, to come back after the leader is gone. */
  readonly managers: readonly ManagerAddress[]
  /** The manager that leads, if it is another one than the one asked. */
  readonly leader?: string
}

export interface ManagerAddress {
  readonly node: string
  readonly address: string
}

/** A task as its worker needs it; `spec` is resolved. */
export interface AssignedTask {
  /** service.slot.generation */
  readonly id: string
  readonly service: string
  readonly serviceName: string
  readonly slot: number
  readonly desired: DesiredState
  /** Its end, once the cluster knows of it: such a task never runs again, and its lines stay readable until it is removed. */
  readonly ended?: TaskState
  readonly spec: ResolvedServiceSpec['task']
}

/** A secret or config that tasks of the node need. */
export interface AssignedPayload {
  readonly id: string
  /** Left out: the cluster has it no more, or its managers cannot open it. */
  readonly data?: Uint8Array
}

export interface Assignments {
  /** `complete`: anything not in `set` must be stopped and forgotten. */
  readonly type: 'complete' | 'incremental'
  /** Must equal the `resultsIn` of the message before; else the agent opens the stream again. 0 for `complete`. */
  readonly appliesTo: number
  readonly resultsIn: number
  readonly set: readonly AssignedTask[]
  /** Task ids to stop and forget. */
  readonly remove: readonly string[]
  /** Secrets of tasks told so far, each once per stream; a task's may come in a later message than the task. */
  readonly secrets?: readonly AssignedPayload[]
  /** Ids of secrets that no task here needs any more: forget them. */
  readonly dropSecrets?: readonly string[]
  /** As for secrets. */
  readonly configs?: readonly AssignedPayload[]
  readonly dropConfigs?: readonly string[]
  readonly managers?: readonly ManagerAddress[]
}

/** What a worker may say of a task; the other states are for managers to give. */
export const reportedStates = [
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'shutdown',
  'failed',
  'rejected',
] as const satisfies readonly TaskState[]

export interface TaskReport {
  readonly id: string
  readonly state: TaskState
  readonly message: string
  readonly exitCode?: number
}
