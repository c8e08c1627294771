import { type MemoryStorage, RawNode } from '../core/index.js'
import type { ResolvedRunnerOptions } from './options.js'

/**
 * For how long electionTicks ticks last at least. The first may come at once; and one may come late, the next in time, when the
 * event loop was busy between a timer and its turn (see Ticker). Otherwise timers never run early.
 */
function promiseMs({ electionTicks, tickMs }: ResolvedRunnerOptions): number {
  return (electionTicks - 2) * tickMs
}

/** The core as every runner wants it: pre-vote, check-quorum, step-down on removal, the log written beside replication. */
export function makeCore(options: ResolvedRunnerOptions, storage: MemoryStorage): RawNode {
  return new RawNode({
    id: options.id,
    electionTick: options.electionTicks,
    heartbeatTick: 1,
    storage,
    maxUncommittedEntriesSize: options.maxUncommittedBytes,
    asyncStorageWrites: true,
    checkQuorum: true,
    votePromise: options.leaseReads ? promiseMs(options) : 0,
    numberedHeartbeats: true,
    preVote: true,
    stepDownOnRemoval: true,
    disableProposalForwarding: true,
    random: options.random,
  })
}
