/** Commands ↔ the bytes of a log entry. Read back with suspicion: replicas must agree even on what they refuse. */
import { SkeinError } from '../base/errors.js'
import { checkNodeDescription } from '../model/check-node.js'
import type { Op, StoreCommand } from '../model/command.js'
import type { ClusterKey, Keyring } from '../model/keyring.js'
import { nodeStates } from '../model/node.js'
import type { ServiceSpec } from '../model/service.js'
import { taskStates } from '../model/task.js'
import { decode, encode } from '../wire/codec.js'
import {
  anything,
  array,
  bytes,
  integer,
  natural,
  number,
  object,
  oneOf,
  optional,
  type Read,
  type Reader,
  read,
  record,
  refine,
  string,
  tagged,
} from '../wire/decode.js'

/** Largest command, encoded: one value of the largest size and some room, as in Swarm's store. */
export const commandBytesMax = 1.5 * 1024 * 1024

/** @throws {SkeinError} ERR_SKEIN_TOO_LARGE */
export function encodeCommand(command: StoreCommand): Uint8Array {
  const data = encode(command)
  if (data.length <= commandBytesMax) return data
  const words = `command: ${data.length} bytes, at most ${commandBytesMax}; split it into several`
  throw new SkeinError('ERR_SKEIN_TOO_LARGE', words, { what: 'command', size: data.length, limit: commandBytesMax })
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE with the path of what is wrong, ERR_SKEIN_INVALID_SPEC */
export function decodeCommand(data: Uint8Array): StoreCommand {
  return read(commandReader, decode(data, commandBytesMax), 'command')
}

const availability = oneOf('active', 'pause', 'drain')
const desired = oneOf('ready', 'running', 'shutdown', 'remove')
const handles = array(natural)
const description = refine(anything, checkNodeDescription)
// Apply resolves it, and says more about it than a reader could.
const spec = anything as Reader<ServiceSpec>

const labelChange: Reader<string | null> = (value, path) => (value === null ? null : string(value, path))
const absentOrVersion: Reader<number | 'absent'> = (value, path) => (value === 'absent' ? value : natural(value, path))

/** A key that may be missing and whose absence is the value undefined. */
const raftId: Reader<number | undefined> = (value, path) =>
  value === undefined || value === null ? undefined : natural(value, path)

const settings = object({ heartbeatMs: number, graceFactor: number, pauseToleranceMs: number, taskHistory: number })

/** Absent as undefined: the record it becomes has every key. */
const maybeBytes: Reader<Uint8Array | undefined> = (value, path) =>
  value === undefined || value === null ? undefined : bytes(value, path)

const clusterKey = object({ id: natural, secret: bytes, removals: natural })
const maybeKey: Reader<ClusterKey | undefined> = (value, path) =>
  value === undefined || value === null ? undefined : clusterKey(value, path)
const keyring = object({ previous: maybeKey, primary: clusterKey, next: clusterKey, rotatedAtMs: natural })
const maybeKeyring: Reader<Keyring | undefined> = (value, path) =>
  value === undefined || value === null ? undefined : keyring(value, path)

const access = object({
  roots: array(object({ certificate: bytes, cross: maybeBytes, key: maybeBytes, state: oneOf('trusted', 'retired') })),
  tokens: object({ manager: bytes, worker: bytes }),
  revoked: array(string),
  keyring: maybeKeyring,
})

const opReader = tagged('op', {
  'cluster.found': object({ id: string, access, settings }),
  'cluster.settings': object({ settings }),
  'cluster.access': object({ access, ifVersion: natural }),
  'cluster.recover': object({ keep: string }),
  'node.create': object({
    id: string,
    name: string,
    role: oneOf('manager', 'worker'),
    availability,
    labels: record(string),
    address: string,
    raftId,
  }),
  'node.update': object({
    id: string,
    availability: optional(availability),
    labels: optional(record(labelChange)),
    name: optional(string),
    address: optional(string),
    raftId: optional(natural),
    ifVersion: optional(natural),
  }),
  'node.desire': object({ id: string, role: oneOf('manager', 'worker') }),
  'node.become': object({ id: string, role: oneOf('manager', 'worker'), raftId: natural }),
  'node.certify': object({ id: string, key: string, root: string, notAfterMs: natural, before: optional(string) }),
  'node.status': object({
    id: string,
    state: oneOf(...nodeStates),
    message: string,
    description: optional(description),
    address: optional(string),
  }),
  'node.remove': object({ id: string }),
  'service.create': object({ id: string, spec }),
  'service.update': object({ id: string, spec, ifVersion: optional(natural) }),
  'service.remove': object({ id: string }),
  'tasks.create': object({
    service: string,
    specVersion: natural,
    slotFrom: natural,
    slotTo: natural,
    desired,
    startAfterMs: optional(number),
  }),
  'tasks.assign': object({ tasks: handles, nodes: array(string) }),
  'tasks.desire': object({ tasks: handles, desired }),
  'tasks.observe': object({
    updates: array(object({ task: natural, state: oneOf(...taskStates), message: string, exitCode: optional(integer) })),
  }),
  'tasks.remove': object({ tasks: handles }),
  'secret.create': object({ id: string, name: string, labels: record(string), sealed: bytes }),
  'secret.update': object({ id: string, labels: record(labelChange) }),
  'secret.remove': object({ id: string }),
  'config.create': object({ id: string, name: string, labels: record(string), data: bytes }),
  'config.update': object({ id: string, labels: record(labelChange) }),
  'config.remove': object({ id: string }),
  'network.create': object({ id: string, name: string, labels: record(string) }),
  'network.remove': object({ id: string }),
  'kv.put': object({ key: string, value: bytes, ifVersion: optional(absentOrVersion) }),
  'kv.delete': object({ key: string }),
})

const requestId = refine(string, (id, path) => {
  if (id.length >= 1 && id.length <= 128) return id
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: expected 1 to 128 characters, got ${id.length}`, { path })
})

const commandReader = object({ requestId, atMs: number, by: string, ops: array(opReader) }) as Reader<StoreCommand>

// Compiles only while every operation of the model has a reader here.
type Missing = Exclude<Op['op'], Read<typeof opReader>['op']>
const _complete: [Missing] extends [never] ? true : Missing = true
