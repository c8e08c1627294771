// A store whose proposals commit at once, as with a single manager.
import { seededRandom } from '../../lib/base/random.js'
import { defaultClusterSettings } from '../../lib/model/cluster.js'
import type { Op } from '../../lib/model/command.js'
import type { Storage } from '../../lib/storage/index.js'
import { type Propose, Store } from '../../lib/store/store.js'
import type { RowSealing } from '../../lib/store/table-layout.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { someAccess } from './access.js'

export interface Harness {
  readonly store: Store
  readonly clock: ManualClock
  /** Submits as the leader. */
  submit(...ops: Op[]): Promise<number>
  /** What is handed to the raft log, for other replicas to apply. */
  readonly log: Uint8Array[]
}

export async function openHarness({
  storage,
  sealing,
  seed = 1,
}: {
  readonly storage?: Storage
  readonly sealing?: RowSealing
  readonly seed?: number
} = {}): Promise<Harness> {
  const clock = new ManualClock()
  const log: Uint8Array[] = []
  const propose: Propose = async (data) => {
    log.push(data)
    const index = store.appliedIndex + 1
    const outcome = store.apply(data, { index })
    store.applied(index)
    return outcome
  }
  const store = await Store.open({
    clock,
    random: seededRandom(seed),
    propose,
    ...(storage && { storage }),
    ...(sealing && { sealing }),
  })
  return { store, clock, log, submit: async (...ops) => (await store.submit(ops, { by: 'leader' })).version }
}

export const put = (key: string, text = 'v'): Op => ({ op: 'kv.put', key, value: Uint8Array.from(Buffer.from(text)) })

export const found: Op = {
  op: 'cluster.found',
  id: 'cluster00001',
  access: someAccess,
  settings: defaultClusterSettings,
}

/** What a worker says of its machine. */
export const description = {
  hostname: 'h',
  os: 'linux',
  arch: 'x64',
  pid: 1,
  resources: { cpuNanos: 2e9, memoryBytes: 2 ** 30 },
  drivers: ['process'],
}

export function node(id: string, name = id): Op[] {
  return [
    { op: 'node.create', id, name, role: 'worker', availability: 'active', labels: {}, address: `${id}:1`, raftId: undefined },
    { op: 'node.status', id, state: 'ready', message: 'here' },
  ]
}

export function service(id: string, name: string, replicas: number): Op[] {
  return [
    { op: 'service.create', id, spec: { name, task: { command: ['node', 'server.js'] }, mode: { replicas } } },
    { op: 'tasks.create', service: id, specVersion: 1, slotFrom: 1, slotTo: replicas, desired: 'running' },
  ]
}
