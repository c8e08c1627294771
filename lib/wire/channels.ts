const KiB = 1024
const MiB = 1024 * KiB

/**
 * What may happen to a message of a channel when the link is congested. All messages of one channel arrive in the
 * order sent; a `lossy` one may be dropped (counted), an `ordered` one is refused to its sender with ERR_SKEIN_BUSY.
 */
export type ChannelOrder = 'lossy' | 'ordered'

export interface Channel {
  readonly name: string
  /** On the wire; never reused for something else. */
  readonly number: number
  readonly order: ChannelOrder
  /** The largest message, whole; larger ones are refused by both ends. */
  readonly maxBytes: number
}

/** Everything that shares one link. `sync` has its number, and nobody listens yet. */
export const channels = {
  /** Handshake and keep-alive. */
  control: { name: 'control', number: 0, order: 'ordered', maxBytes: 32 * KiB },
  raft: { name: 'raft', number: 1, order: 'lossy', maxBytes: 16 * MiB },
  rpc: { name: 'rpc', number: 2, order: 'ordered', maxBytes: 16 * MiB },
  /** Heartbeats of workers' sessions: calls as on `rpc`, and ahead of what waits there. */
  session: { name: 'session', number: 3, order: 'ordered', maxBytes: 4 * KiB },
  gossip: { name: 'gossip', number: 4, order: 'lossy', maxBytes: 64 * KiB },
  sync: { name: 'sync', number: 5, order: 'ordered', maxBytes: 1 * MiB },
  swim: { name: 'swim', number: 6, order: 'lossy', maxBytes: 64 * KiB },
} as const satisfies Readonly<Record<string, Channel>>

/** Channels of single messages between members, that may be lost. */
export type MessageChannel = 'gossip' | 'swim'

const byNumber: readonly Channel[] = Object.values(channels)

export function channelOf(number: number): Channel | undefined {
  return byNumber[number]
}
