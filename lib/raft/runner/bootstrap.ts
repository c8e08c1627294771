/** How a peer's log begins, and what a state machine found on disk must have to do with it. */
import { join } from 'node:path'
import { SkeinError } from '../../base/errors.js'
import { type ConfState, type Entry, encodeConfChange, MemoryStorage, type RaftId, type Snapshot } from '../core/index.js'
import { corrupt, type RaftDisk, type WalBatch, type WalContents } from '../wal/index.js'
import type { StateMachine } from './state-machine.js'

/** The log of a cluster starts with its first members, one change each: whoever joins later reads it from there. */
export function bootstrapBatch({
  voters,
  learners,
  votersOutgoing,
}: ConfState): WalBatch & { readonly entries: readonly Entry[] } {
  if (voters.length === 0 || votersOutgoing.length > 0) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', 'bootstrap: expected at least one voter and no change under way', {
      option: 'bootstrap',
      got: { voters, votersOutgoing },
    })
  }
  const members = [...voters.map((id) => ['v', id] as const), ...learners.map((id) => ['l', id] as const)]
  const entries = members.map(([type, nodeId]: readonly ['v' | 'l', RaftId], i) => ({
    ...encodeConfChange({ v1: true, changes: [{ type, nodeId }] }),
    term: 1,
    index: i + 1,
  }))
  return { entries, hardState: { term: 1, vote: 0, commit: entries.length } }
}

/** Writes the first entries of a new log. A crash before leaves a new log, which is begun again. */
export async function beginLog(disk: RaftDisk, found: WalContents, bootstrap: ConfState | undefined): Promise<WalContents> {
  if (bootstrap === undefined || found.hardState !== undefined) return found
  const { entries, hardState } = bootstrapBatch(bootstrap)
  const batch = { entries, ...(hardState !== undefined && { hardState }) }
  await disk.append([batch])
  return { hardState, snapshot: undefined, entries }
}

/** The core's memory of what the log holds. */
export function loadStorage({ hardState, snapshot, entries }: WalContents): MemoryStorage {
  return new MemoryStorage({
    entries,
    ...(hardState !== undefined && { hardState }),
    ...(snapshot !== undefined && { snapshot: coreSnapshot(snapshot) }),
  })
}

/** A snapshot as the core and its messages know it: the contents travel beside. */
export function coreSnapshot({ index, term, confState }: Omit<Snapshot, 'data'>): Snapshot {
  return { index, term, confState, data: new Uint8Array(0) }
}

/**
 * Brings a machine that is behind the snapshot up to it; refuses one that is ahead of the log.
 * @throws {SkeinError} ERR_SKEIN_CORRUPT, ERR_SKEIN_STORAGE, or what the machine's `restore` throws
 */
export async function alignMachine(machine: StateMachine, disk: RaftDisk, contents: WalContents, dir: string): Promise<void> {
  const { snapshot, entries } = contents
  const lastIndex = entries.at(-1)?.index ?? snapshot?.index ?? 0
  if (machine.appliedIndex > lastIndex) {
    throw corrupt(
      join(dir, 'log'),
      undefined,
      `the state machine has applied entry ${machine.appliedIndex}, but the log ends at ${lastIndex}: entries are missing`,
    )
  }
  if (snapshot !== undefined && machine.appliedIndex < snapshot.index) {
    await machine.restore(disk.readSnapshot(snapshot), { index: snapshot.index, term: snapshot.term })
  }
}
