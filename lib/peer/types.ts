import type { Cluster, Endpoints, Status } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import type { NodeRole } from '../model/node.js'
import type { DatagramSocket } from '../overlay/datagram/index.js'
import type { Triage } from '../overlay/swim/index.js'
import type { Transport } from '../overlay/transport/index.js'

export interface PeerEvents {
  leader: [{ readonly leader: string | undefined; readonly term: number }]
}

/** Numbers, and tables of them; docs/metrics.md says what each means and in which unit. */
export interface Metrics {
  readonly [name: string]: number | Readonly<Record<string, number>>
}

/** A running process of the cluster; also a `Cluster` to work with. */
export interface Peer extends Cluster, AsyncDisposable {
  readonly id: string
  readonly name: string
  readonly role: NodeRole
  /** True while this peer leads and its duties run. */
  readonly leading: boolean
  /** host:port where others reach this peer; '' when it only dials out. */
  readonly address: string
  /** Never rejects: undefined after stop(), the error if the peer failed by itself. */
  readonly ended: Promise<unknown>
  /** Where services answer, as this peer sees it without asking anybody. */
  readonly endpoints: Endpoints
  /** Stops the tasks here, hands leadership over, closes in reverse order. Any number of times. */
  stop(o?: { readonly drain?: boolean; readonly timeoutMs?: number }): Promise<void>
  /** As this peer sees it now, without asking anybody. */
  status(): Status
  /** Counts and summaries of this process since it started. */
  metrics(): Metrics
  on<E extends keyof PeerEvents>(event: E, listener: (...args: PeerEvents[E]) => void): this
  off<E extends keyof PeerEvents>(event: E, listener: (...args: PeerEvents[E]) => void): this
}

/** What a peer stands on; what is left out is the system's own. */
export interface PeerNetwork {
  /** Default: WebSocket. */
  readonly transport?: Transport
  /** Default: UDP. */
  readonly datagrams?: (address: string) => Promise<DatagramSocket>
  /** How membership finds out whether somebody listens. Default: by TCP. */
  readonly triage?: Triage
  /** Default: this machine's. */
  readonly clock?: Clock
}
