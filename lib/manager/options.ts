import type { ControlStreams } from '../api/control.js'
import type { ManagerAddress } from '../api/session.js'
import type { LogLine, NodeLoad } from '../api/types.js'
import type { Rows, TaskRow } from '../api/worker-rows.js'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { DispatcherWorld, Membership } from '../dispatcher/index.js'
import type { Access } from '../model/access.js'
import type { Availability } from '../model/node.js'
import type { LinkPool } from '../overlay/transport/index.js'
import type { Storage } from '../storage/index.js'
import type { ControlWorld } from './control-server.js'

/** The first records of a new cluster, written by its first leader. Everyone who founds it has the same. */
export interface Founding {
  readonly access: Access
  readonly members: readonly FoundingMember[]
}

export interface FoundingMember {
  readonly id: string
  readonly raftId: number
  /** DER. */
  readonly certificate: Uint8Array
  readonly name: string
  readonly address: string
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
}

export interface ManagerOptions extends Pick<ControlWorld, 'endpoints' | 'forward' | 'forwardStream'> {
  readonly node: string
  readonly cluster: string
  readonly raftId: number
  /** Opens and seals what managers keep: the log, snapshots, tables, and again what is secret in them. */
  readonly dataKey: Uint8Array
  /** Only the very first peers of a cluster, until the first records are written. */
  readonly founding: Founding | undefined
  /** Where the raft log lies; undefined: memory only. */
  readonly raftDir: string | undefined
  /** Applied state; its keys are the store's alone. */
  readonly storage: Storage
  readonly pool: LinkPool
  /** Managers known from joining, before the own tables say so. */
  readonly managers: readonly ManagerAddress[]
  readonly clock: Clock
  readonly random: Random
  readonly tickMs: number
  readonly electionTicks: number
  /** Voters to keep among the managers while this one leads; undefined: all of them vote. */
  readonly votersWanted: number | undefined
  readonly logger: Logger
  /** Who is alive by the word of many; undefined: only sessions and links tell. */
  readonly membership: Membership | undefined
  /** What workers say of their tasks besides, as every manager holds it. */
  readonly rows: Rows<TaskRow>
  /** How busy a node says it is; undefined: it did not lately. */
  load(node: string): NodeLoad | undefined
  /** This peer's own tasks' lines; others are asked over links. */
  localLogs(task: string, request: ControlStreams['logs'][0], signal: AbortSignal): AsyncIterable<Omit<LogLine, 'task' | 'node'>>
  /** Connects to an address and hangs up; never rejects. */
  readonly dial: NonNullable<DispatcherWorld['dial']>
  /** Lines of a task on another node. */
  readonly remoteLogs: ControlWorld['agentLogs']
}
