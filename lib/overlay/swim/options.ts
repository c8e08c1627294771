import { SkeinError } from '../../base/errors.js'

/** How members watch each other; every duration in milliseconds of the member's own monotonic clock. */
export interface SwimOptions {
  /** One member is probed per interval. Must be at least twice `pingTimeoutMaxMs`: the second half is for others to try. Default 1,000. */
  readonly probeIntervalMs?: number
  /** A ping waits clamp(3 × p99 of round trips, min, max) before others are asked to try. Default 100. */
  readonly pingTimeoutMinMs?: number
  /** See `pingTimeoutMinMs`. Default 500. */
  readonly pingTimeoutMaxMs?: number
  /** Members asked to try what we could not reach. Default 3. */
  readonly relays?: number
  /** α: a suspicion with enough confirmations lasts α · max(1, log10 N) · probeIntervalMs. Default 2. */
  readonly suspicionAlpha?: number
  /** β: a suspicion nobody confirms lasts β times as long. Default 6. */
  readonly suspicionBeta?: number
  /** K: independent confirmations after which a suspicion is at its shortest. Default 3. */
  readonly confirmations?: number
  /** Ring predecessors that hold a link to a member and check at once when it is accused. Default 5. */
  readonly observers?: number
  /** Rumours go to `gossipFanout` members each interval, while there are any. Default 200. */
  readonly gossipIntervalMs?: number
  /** Default 3. */
  readonly gossipFanout?: number
  /** A rumour is sent at least this many times: in small groups the logarithm alone lets it die. Default 6. */
  readonly transmissionsMin?: number
  /** Largest packet on the datagram lane; 1,200 passes every IPv6 path. Default 1,200. */
  readonly packetBytesMax?: number
  /** A process that is stopped while its machine answers is degraded, not dead, for this long. Default 30,000. */
  readonly pauseToleranceMs?: number
  /** How long two refusals wait for a sign of life before they are believed. Default 100. */
  readonly refusedWindowMs?: number
  /** How long the dead and the left are remembered, so that a late rumour cannot bring them back. Default 24 hours. */
  readonly tombstoneMs?: number
  /** `stream`: datagrams do not pass; everything rides links, and only neighbours are probed. Default `both`. */
  readonly lanes?: Lanes
}

/** What a member can be reached by. */
export type Lanes = 'both' | 'stream'

export type ResolvedSwimOptions = Required<SwimOptions>

const lan: ResolvedSwimOptions = {
  probeIntervalMs: 1000,
  pingTimeoutMinMs: 100,
  pingTimeoutMaxMs: 500,
  relays: 3,
  suspicionAlpha: 2,
  suspicionBeta: 6,
  confirmations: 3,
  observers: 5,
  gossipIntervalMs: 200,
  gossipFanout: 3,
  transmissionsMin: 6,
  packetBytesMax: 1200,
  pauseToleranceMs: 30_000,
  refusedWindowMs: 100,
  tombstoneMs: 86_400_000,
  lanes: 'both',
}

/** Fills in the defaults (a LAN's) and checks. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function resolveSwimOptions(given: SwimOptions = {}): ResolvedSwimOptions {
  const options = { ...lan, ...given }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(lan, name)) throw invalid(name, 'is not an option', value)
    if (name === 'lanes') continue
    const least = name === 'relays' || name === 'refusedWindowMs' ? 0 : 1
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least)
      throw invalid(name, `must be a number from ${least}`, value)
  }
  if (options.lanes !== 'both' && options.lanes !== 'stream') throw invalid('lanes', "must be 'both' or 'stream'", options.lanes)
  if (options.pingTimeoutMinMs > options.pingTimeoutMaxMs)
    throw invalid('pingTimeoutMinMs', 'must not be above pingTimeoutMaxMs', options.pingTimeoutMinMs)
  if (options.probeIntervalMs < 2 * options.pingTimeoutMaxMs)
    throw invalid('probeIntervalMs', 'must be at least twice pingTimeoutMaxMs', options.probeIntervalMs)
  if (options.packetBytesMax < 1100 || options.packetBytesMax > 65_000)
    throw invalid('packetBytesMax', 'must be from 1,100 (a digest fits) to 65,000 (a datagram)', options.packetBytesMax)
  return Object.freeze(options)
}

function invalid(name: string, words: string, got: unknown): SkeinError {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `swim.${name}: ${words}, got ${String(got)}`, { option: `swim.${name}`, got })
}

/** The shortest and the longest a suspicion may last in a group of `members`. @see Lifeguard (arXiv 1707.00788) §IV-B; SWIM §4.2 */
export function suspicionBounds(
  members: number,
  { suspicionAlpha, suspicionBeta, probeIntervalMs }: ResolvedSwimOptions,
): { readonly minMs: number; readonly maxMs: number } {
  // Of two members neither has anyone to ask for a second opinion: twice the patience instead.
  const scale = members <= 2 ? 2 : Math.max(1, Math.log10(members))
  const minMs = suspicionAlpha * scale * probeIntervalMs
  return { minMs, maxMs: minMs * suspicionBeta }
}

/** How often one member sends one rumour before it forgets it. @see SWIM §4.1: λ·log N leaves it unknown to N^-(2λ-2) */
export function transmissionsOf(members: number, { transmissionsMin }: ResolvedSwimOptions): number {
  return Math.max(transmissionsMin, 4 * Math.ceil(Math.log10(members + 1)))
}
