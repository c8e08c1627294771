/** How a newcomer comes into its cluster: it founds it together with others, or is taken in by a manager. */
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import type { Founding } from '../manager/index.js'
import type { Availability } from '../model/node.js'
import type { LinkPool } from '../overlay/transport/index.js'
import { type Invitation, trustOf, trustOfToken } from '../security/index.js'
import { answerLater, Meeting, type MeetingEnd, meetingCredentials } from './founding.js'
import { type Beginning, type MeetAnswer, readDecided } from './founding-messages.js'
import { joinCluster } from './join.js'
import type { OwnKeys } from './own-keys.js'
import { type Lookup, Seeds } from './seeds.js'
import type { Standing } from './standing.js'
import type { StoredIdentity } from './state-dir.js'

export interface ComingInWorld {
  readonly invitation: Invitation
  /** How many found the cluster if there is none; undefined: it is there. */
  readonly expect: number | undefined
  readonly identity: StoredIdentity
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
  readonly own: OwnKeys
  readonly pool: LinkPool
  readonly lookup: Lookup
  readonly standing: Standing
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** The meeting of this process while it lasts, and what is answered about it. */
export class ComingIn {
  #meeting: Meeting | undefined

  /** Answers `join.meet`. */
  async asked(question: unknown, own: OwnKeys): Promise<MeetAnswer> {
    return this.#meeting === undefined ? answerLater(question, beginningOf(own)) : await this.#meeting.asked(question)
  }

  /**
   * Resolves with who this peer now is; its keys, certificate and trust are those of the cluster then.
   * @throws {SkeinError} as `joinCluster`
   */
  async enter(world: ComingInWorld): Promise<StoredIdentity> {
    const { identity, own } = world
    const end = await this.#meet(world)
    if (end?.type !== 'decided') return await join(world, end?.addresses ?? [])
    const { cluster, dataKey, access, members } = end.beginning
    const mine = members.find(({ id }) => id === identity.node)
    const addresses = members.map(({ address }) => address)
    if (mine === undefined) return await join(world, addresses)
    await own.began(mine.certificate, trustOf(cluster, access), dataKey, access)
    const { joining: _, ...rest } = identity
    const managers = members.map(({ id, address }) => ({ node: id, address }))
    return { ...rest, cluster, role: 'manager', raftId: mine.raftId, founding: true, managers }
  }

  /** Undefined when nothing is to be founded. */
  async #meet(world: ComingInWorld): Promise<MeetingEnd | undefined> {
    const { invitation, expect, identity, own, clock, random, logger, signal, standing, availability, labels } = world
    const { token, addresses } = invitation
    const { seed } = token
    if (seed === undefined || expect === undefined) return undefined
    const { node: id, name, address } = identity
    const founding = { ...token, seed }
    const before = own.credentials.state
    const meeting = new Meeting({
      token: founding,
      expect,
      self: { id, name, address, availability, labels, publicKey: own.keys.publicKey },
      seeds: new Seeds(addresses, world.lookup, clock),
      memory: own.meeting,
      save: (memory) => own.keepMeeting(memory),
      clock,
      random,
      logger,
      signal,
    })
    this.#meeting = meeting
    own.credentials.replace(meetingCredentials(founding, id, own.keys, clock.wallMs()))
    const ended = meeting.hold()
    try {
      await standing.waitFor(
        `${expect} peers have met to found the cluster`,
        ended.then(() => undefined),
        () => meeting.progress,
      )
      return await ended
    } finally {
      this.#meeting = undefined
      own.credentials.replace(before)
    }
  }
}

/** What the first leader writes; everyone who founds the cluster can. */
export function foundingOf(
  own: OwnKeys,
  { node: id, raftId, founding, name, address }: StoredIdentity,
  { availability, labels }: Pick<ComingInWorld, 'availability' | 'labels'>,
): Founding | undefined {
  const { certificate, founding: access } = own
  if (founding !== true || access === undefined || certificate === undefined || raftId === undefined) return undefined
  const members = beginningOf(own)?.members ?? [{ id, raftId, certificate, name, address, availability, labels }]
  return { access, members }
}

function beginningOf({ meeting }: OwnKeys): Beginning | undefined {
  return meeting && readDecided(meeting)
}

/** @param met Where others of the cluster were heard of: the only address of the join string may be our own. */
async function join(
  { invitation, identity, own, pool, lookup, clock, random, signal, availability, labels }: ComingInWorld,
  met: readonly string[],
) {
  const { token, addresses } = invitation
  const { role, root, secret } = token
  const { node: id, name, address } = identity
  own.credentials.replace({ own: undefined, trust: trustOfToken(token) })
  const answer = await joinCluster({
    pool,
    addresses: new Seeds([...new Set([...addresses, ...met])], lookup, clock),
    clock,
    random,
    signal,
    keys: own.keys,
    root,
    request: { id, role, secret, name, address, availability, labels },
  })
  await own.certified(own.keys, answer)
  const { joining: _, raftId: __, ...rest } = identity
  return {
    ...rest,
    cluster: answer.trust.cluster,
    role: answer.role,
    managers: answer.managers.map(({ node, address }) => ({ node, address })),
    ...(answer.raftId !== undefined && { raftId: answer.raftId }),
  }
}
