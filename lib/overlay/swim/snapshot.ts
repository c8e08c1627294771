import { type NodeId, parseNodeId } from '../../base/ids.js'
import { array, bytes, natural, object, oneOf, read, string } from '../../wire/index.js'
import type { MemberRecord, MemberState } from './member.js'
import { Roster } from './member-table.js'
import type { Lanes } from './options.js'

/** Who was in, as plain data to be kept on disk; the failed too, so that a restart does not forget to look for them (serf#333). */
export interface MemberSnapshot {
  readonly members: readonly KeptMember[]
}

export interface KeptMember {
  readonly id: NodeId
  readonly epoch: number
  readonly incarnation: number
  readonly state: Exclude<MemberState, 'suspect'>
  readonly address: string
  readonly lanes: Lanes
  readonly meta: Uint8Array
  readonly profileVersion: number
}

const kept = object({
  id: parseNodeId,
  epoch: natural,
  incarnation: natural,
  state: oneOf('alive', 'dead', 'left'),
  address: string,
  lanes: oneOf('both', 'stream'),
  meta: bytes,
  profileVersion: natural,
})
const snapshot = object({ members: array(kept) })

export function snapshotOf(members: Iterable<MemberRecord>): MemberSnapshot {
  const all: KeptMember[] = []
  for (const { id, epoch, incarnation, state, profile } of members) {
    if (profile === undefined) continue
    const { address, lanes, meta, version } = profile
    all.push({
      id,
      epoch,
      incarnation,
      state: state === 'suspect' ? 'alive' : state,
      address,
      lanes,
      meta,
      profileVersion: version,
    })
  }
  return { members: all }
}

/** Reads what was kept on disk. @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readSnapshot(value: unknown): MemberSnapshot {
  return read(snapshot, value, 'members')
}

/** What a member starts from; those who left are not waited for. */
export function rosterOf({ members }: MemberSnapshot): Roster {
  return new Roster(
    members.map(({ id, epoch, incarnation, state, address, lanes, meta, profileVersion }) => {
      const profile = { version: profileVersion, address, lanes, meta }
      return { id, epoch, incarnation, state, profileVersion, profile, accusations: [] }
    }),
  )
}
