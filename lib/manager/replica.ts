/** A manager's part of the replicated record: raft below, the store above, and a seal between them and under the tables. */
import { SkeinError } from '../base/errors.js'
import { RaftRunner } from '../raft/runner/index.js'
import { LogSealing, RecordSealer, sealedExtraBytes, TableSealing } from '../security/index.js'
import { commandBytesMax, Store } from '../store/index.js'
import type { ManagerOptions } from './options.js'
import { RaftLinks } from './raft-links.js'
import { SealedMachine } from './sealed-machine.js'

export interface Replica {
  readonly store: Store
  readonly raft: RaftRunner
  readonly links: RaftLinks
}

/** @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE */
export async function openReplica(options: ManagerOptions): Promise<Replica> {
  const { cluster, dataKey, raftId, founding, storage, pool, clock, random, tickMs, electionTicks } = options
  const sealing = { cluster, dataKey }
  const log = new LogSealing(sealing)
  const links = new RaftLinks(raftId, pool)
  // The store proposes through the runner and the runner applies to the store: the one knot, tied here.
  const late: { raft?: RaftRunner } = {}
  const store = await Store.open({
    storage,
    sealing: new TableSealing(sealing),
    clock,
    random,
    propose: (command, o) => {
      if (late.raft === undefined) throw new SkeinError('ERR_SKEIN_STOPPED', 'raft is not open yet', { what: 'raft' })
      return late.raft.propose(log.seal(command), o)
    },
  })
  const raft = await RaftRunner.open({
    id: raftId,
    clusterId: cluster,
    dir: options.raftDir,
    ...(founding && {
      bootstrap: {
        voters: founding.members.map((each) => each.raftId),
        votersOutgoing: [],
        learners: [],
        learnersNext: [],
        autoLeave: false,
      },
    }),
    stateMachine: new SealedMachine(store, log, new RecordSealer('snapshots', sealing)),
    transport: links,
    clock,
    random,
    tickMs,
    electionTicks,
    maxEntryBytes: commandBytesMax + sealedExtraBytes,
  })
  late.raft = raft
  return { store, raft, links }
}
