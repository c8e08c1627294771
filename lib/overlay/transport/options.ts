import type { BackoffOptions } from '../../base/backoff.js'
import type { Clock } from '../../base/clock.js'
import type { Random } from '../../base/random.js'
import type { VersionRange } from './handshake.js'
import type { Transport } from './transport.js'
import { WsTransport } from './ws-transport.js'

export interface LinkOptions {
  readonly clock: Clock
  readonly random: Random
  /** Default: WebSocket. */
  readonly transport?: Transport
  /** Milliseconds from a connection to a finished handshake. Default 5,000. */
  readonly handshakeTimeoutMs?: number
  /** Connections taken that may be in their handshake at once; the next one is cut off. Default 256. */
  readonly handshakesMax?: number
  /** Links of newcomers that may be up at once; for the next one the oldest ends. Default 256. */
  readonly newcomersMax?: number
  /** Links that may be up at once; the next newcomer is refused with ERR_SKEIN_BUSY. Default 16,384. */
  readonly linksMax?: number
  /** Milliseconds between looks at a link: nothing heard since the last one means a ping. Default 2,000. */
  readonly keepAliveMs?: number
  /** Milliseconds of silence after which a link is given up: at least three looks. Default 8,000. */
  readonly silentAfterMs?: number
  /** Delay before a kept peer is dialled again: base/backoff. Default 50 to 3,000 ms. */
  readonly redial?: BackoffOptions
  /** Wire versions this end speaks. Only tests set it. */
  readonly versions?: VersionRange
}

export type ResolvedLinkOptions = Readonly<Required<LinkOptions>>

/** The wire versions of this release. */
export const wireVersions: VersionRange = { min: 1, max: 1 }

export function resolveLinkOptions(options: LinkOptions): ResolvedLinkOptions {
  const { clock } = options
  return Object.freeze({
    transport: new WsTransport({ clock }),
    handshakeTimeoutMs: 5000,
    handshakesMax: 256,
    newcomersMax: 256,
    linksMax: 16_384,
    keepAliveMs: 2000,
    silentAfterMs: 8000,
    redial: { firstMs: 50, maxMs: 3000 },
    versions: wireVersions,
    ...options,
  })
}
