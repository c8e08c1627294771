import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import {
  digestOf,
  foundAccess,
  type Invitation,
  issueFrom,
  type JoinToken,
  lifetimes,
  makeKeyPair,
  makeSealKey,
  parseJoinString,
  type StoredKeys,
  trustOf,
  trustOfToken,
} from '../security/index.js'
import type { StoredIdentity } from './state-dir.js'

/** Who a starting peer is to be. */
export interface Plan {
  /** The epoch is the starting peer's own to choose. */
  readonly identity: Omit<StoredIdentity, 'epoch'>
  readonly keys: StoredKeys
  /** By which it has to be taken in first. */
  readonly invitation: Invitation | undefined
}

export interface PlanWorld {
  /** For messages. */
  readonly dir: string | undefined
  readonly name: string
  readonly joinString: string | undefined
  /** What the directory says, if it says anything. */
  readonly stored: StoredIdentity | undefined
  readonly keys: StoredKeys | undefined
  readonly nowMs: number
  /** Must not be guessable. */
  readonly random: Random
}

/**
 * What the directory says, else a newcomer with a token, else the founder of a cluster.
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_STRING, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_INVALID_OPTION, ERR_SKEIN_CORRUPT
 */
export async function planPeer(world: PlanWorld): Promise<Plan> {
  const invitation = world.joinString === undefined ? undefined : parseJoinString(world.joinString)
  if (world.stored !== undefined) return comeBack(world, world.stored, invitation)
  const keys = world.keys?.keys ?? (await makeKeyPair())
  const fresh = { format: 1, node: makeId(world.random), name: world.name, address: '', managers: [] } as const
  if (invitation === undefined) return await found(world, { ...fresh, managers: [] }, keys)
  const { role } = invitation.token
  return {
    identity: { ...fresh, managers: [], cluster: '', role, joining: true },
    keys: newcomer(keys, invitation.token, world.keys?.meeting),
    invitation,
  }
}

function comeBack({ dir, keys }: PlanWorld, stored: StoredIdentity, invitation: Invitation | undefined): Plan {
  if (keys === undefined) {
    const words = `dir ${dir}: its keys (keys.json) are missing; restore them from a backup, or remove the directory and join again as a new node`
    throw new SkeinError('ERR_SKEIN_CORRUPT', words, { file: 'keys.json' })
  }
  if (stored.joining === true) {
    if (invitation === undefined) {
      throw new SkeinError(
        'ERR_SKEIN_INVALID_OPTION',
        `join: dir ${dir} was left in the middle of joining; give the join string again`,
        { option: 'join' },
      )
    }
    return { identity: stored, keys: newcomer(keys.keys, invitation.token, keys.meeting), invitation }
  }
  if (invitation !== undefined && !isOf(keys, invitation.token)) {
    const words = `dir ${dir} belongs to cluster ${stored.cluster}, the join string to another one; give this peer another directory`
    throw new SkeinError('ERR_SKEIN_OTHER_CLUSTER', words, { ours: stored.cluster, theirs: 'unknown' })
  }
  return { identity: stored, keys, invitation: undefined }
}

/** Everything the first leader needs to write the first records; kept on disk until they are written. */
async function found(
  { nowMs, random }: PlanWorld,
  fresh: Omit<StoredIdentity, 'cluster' | 'role' | 'epoch'>,
  keys: StoredKeys['keys'],
): Promise<Plan> {
  const cluster = makeId(random)
  const dataKey = makeSealKey()
  const authority = { cluster, dataKey, nowMs }
  const access = await foundAccess(authority, random)
  const subject = { cluster, role: 'manager', id: fresh.node } as const
  const certificate = issueFrom(access, authority, subject, keys.publicKey, lifetimes.nodeMs)
  const raftId = 1 + Math.floor(random() * (2 ** 48 - 1))
  return {
    identity: { ...fresh, cluster, role: 'manager', raftId, founding: true },
    keys: { keys, certificate, trust: trustOf(cluster, access), dataKey, founding: access },
    invitation: undefined,
  }
}

function newcomer(keys: StoredKeys['keys'], token: JoinToken, meeting: StoredKeys['meeting']): StoredKeys {
  return { keys, certificate: undefined, trust: trustOfToken(token), dataKey: undefined, founding: undefined, meeting }
}

/** Whether the token pins one of the roots this directory knows. */
function isOf({ trust }: StoredKeys, { root }: JoinToken): boolean {
  if (trust.type === 'pin') return trust.digest === root
  return [...trust.roots, ...trust.retired].some((each) => digestOf(each) === root)
}
