import { type MemoryStorage, RawNode } from '../core/index.js'
import type { ResolvedRunnerOptions } from './options.js'

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
    preVote: true,
    stepDownOnRemoval: true,
    disableProposalForwarding: true,
    random: options.random,
  })
}
