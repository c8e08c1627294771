import type { AssignedTask, TaskReport } from '../api/session.js'
import { defaultNetwork } from '../model/network.js'
import { taskStates } from '../model/task.js'
import { keysUnder, makeKey } from '../storage/keyspace.js'
import type { Storage, Write } from '../storage/storage.js'
import { decode, encode } from '../wire/codec.js'
import {
  anything,
  array,
  integer,
  natural,
  number,
  object,
  oneOf,
  optional,
  type Reader,
  read,
  record,
  refine,
  string,
} from '../wire/decode.js'

/** A task of this node as it is remembered: the assignment, and what was last observed. */
export interface TaskRow {
  readonly task: AssignedTask
  readonly report: TaskReport
}

const rowBytesMax = 4 * 1024 * 1024
/** Death of this process must not lose a row; death of the machine ends the tasks themselves, so no row is worth a disk sync. */
const writeOptions = { sync: false } as const

/**
 * The node's tasks on disk, so that a restart of the agent forgets nothing. Written before the act a row speaks of:
 * who reads `starting` knows that the task may have begun, who reads less knows that it has not.
 */
export class TaskDb {
  readonly #storage: Storage

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Every row. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_BAD_MESSAGE naming the row that cannot be read */
  async load(): Promise<TaskRow[]> {
    const rows: TaskRow[] = []
    for await (const { value } of this.#storage.range(keysUnder(...prefix))) {
      rows.push(read(taskRow, decode(value, rowBytesMax), `stored task ${rows.length + 1}`))
    }
    return rows
  }

  /** @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  async write(changes: { readonly put?: readonly TaskRow[]; readonly remove?: readonly string[] }): Promise<void> {
    const writes: Write[] = [
      ...(changes.put ?? []).map((row): Write => ({ type: 'put', key: keyOf(row.task.id), value: encode(row) })),
      ...(changes.remove ?? []).map((id): Write => ({ type: 'delete', key: keyOf(id) })),
    ]
    if (writes.length > 0) await this.#storage.batch(writes, writeOptions)
  }

  close(): Promise<void> {
    return this.#storage.close()
  }
}

const prefix = ['agent', 'task'] as const

function keyOf(id: string): Uint8Array {
  return makeKey(...prefix, id)
}

const reservation = object({ cpuNanos: natural, memoryBytes: natural })
const limitation = object({ cpuNanos: optional(natural), memoryBytes: optional(natural) })

const payloadRefs = array(object({ id: string, target: string }))

const taskSpec: Reader<AssignedTask['spec']> = refine(
  object({
    driver: string,
    command: array(string),
    env: record(string),
    workingDir: optional(string),
    stopSignal: string,
    stopGraceMs: number,
    selfFenceAfterMs: optional(number),
    reserve: reservation,
    limit: limitation,
    options: optional(anything),
    secrets: optional(payloadRefs),
    configs: optional(payloadRefs),
    networks: optional(array(object({ id: string, name: string }))),
  }),
  // Keys that hold `undefined` do not survive encoding; a resolved spec has every key.
  (spec) => ({
    ...spec,
    workingDir: spec.workingDir,
    selfFenceAfterMs: spec.selfFenceAfterMs,
    limit: { cpuNanos: spec.limit.cpuNanos, memoryBytes: spec.limit.memoryBytes },
    options: spec.options,
    secrets: spec.secrets ?? [],
    configs: spec.configs ?? [],
    networks: spec.networks ?? [{ id: defaultNetwork.id, name: defaultNetwork.name }],
  }),
)

const assignedTask: Reader<AssignedTask> = object({
  id: string,
  service: string,
  serviceName: string,
  slot: natural,
  desired: oneOf('ready', 'running', 'shutdown', 'remove'),
  spec: taskSpec,
})

const taskReport: Reader<TaskReport> = object({
  id: string,
  state: oneOf(...taskStates),
  message: string,
  exitCode: optional(integer),
})

const taskRow: Reader<TaskRow> = object({ task: assignedTask, report: taskReport })
