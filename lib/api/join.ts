import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'
import type { Availability, NodeRole } from '../model/node.js'
import type { ManagerAddress } from './session.js'

/** JoinApi: what a newcomer asks of any manager. Its role comes from the secret it proved, never from the payload. */
export interface JoinApi {
  /**
   * Makes the newcomer's record; asked again by the same node it answers the same.
   * @throws {SkeinError} ERR_SKEIN_ALREADY_EXISTS (name taken), ERR_SKEIN_REMOVED, ERR_SKEIN_NO_QUORUM
   */
  join(node: string, role: NodeRole, request: JoinRequest): Promise<JoinAnswer>
}

export interface JoinRequest {
  readonly name: string
  /** host:port where this peer's links arrive. */
  readonly address: string
  readonly availability: Availability
  readonly labels: Readonly<Record<string, string>>
}

export interface JoinAnswer {
  readonly cluster: string
  /** Only for managers. */
  readonly raftId: number | undefined
  /** The worker's secret for all; the manager's only for managers. */
  readonly secrets: { readonly manager?: string; readonly worker: string }
  readonly managers: readonly ManagerAddress[]
}

const requestSchema = v.strictObject({
  name: v.pipe(v.string(), v.nonEmpty(), v.maxLength(63)),
  address: v.pipe(v.string(), v.nonEmpty(), v.maxLength(255)),
  availability: v.picklist(['active', 'pause', 'drain']),
  labels: v.record(v.string(), v.string()),
})

const answerSchema = v.object({
  cluster: v.string(),
  raftId: v.optional(v.pipe(v.number(), v.safeInteger())),
  secrets: v.object({ manager: v.optional(v.string()), worker: v.string() }),
  managers: v.array(v.object({ node: v.string(), address: v.string() })),
})

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readJoinRequest(value: unknown): JoinRequest {
  return read('join.join', requestSchema, value)
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function readJoinAnswer(value: unknown): JoinAnswer {
  const { cluster, raftId, secrets, managers } = read('the answer to join.join', answerSchema, value)
  const { manager, worker } = secrets
  return { cluster, raftId, secrets: { worker, ...(manager !== undefined && { manager }) }, managers }
}

function read<S extends v.GenericSchema>(what: string, schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const path = v.getDotPath(result.issues[0]) ?? what
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${what}: ${path}: ${result.issues[0].message}`, { path })
}
