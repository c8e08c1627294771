/** The largest command there may be, through all that it passes: store, seal, log on disk, other peers, and a restart. */
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { SealedMachine } from '../../lib/manager/sealed-machine.js'
import type { Op, Outcome, StoreCommand } from '../../lib/model/command.js'
import type { RaftRunner } from '../../lib/raft/runner/index.js'
import { LogSealing, makeSealKey, RecordSealer, sealedExtraBytes } from '../../lib/security/index.js'
import { commandBytesMax, encodeCommand, Store, valueBytesMax } from '../../lib/store/index.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { Cluster, voters } from '../raft/runner/cluster.js'
import { found } from '../store/harness.js'

const sealing = { cluster: 'cluster00001', dataKey: makeSealKey() }
const ids = [1, 2, 3]
const clock = new ManualClock()
const [by, requestId] = ['client', 'the-largest']

/** Starts a peer on its log, with a store that is built from it. */
async function start(cluster: Cluster, id: number, founding?: 'founding'): Promise<Store> {
  const log = new LogSealing(sealing)
  const late: { raft?: RaftRunner } = {}
  const store = await Store.open({
    clock,
    random: seededRandom(id),
    propose: async (command, o) => (await late.raft?.propose(log.seal(command), o)) as Outcome,
  })
  const { runner } = await cluster.start(id, {
    stateMachine: new SealedMachine(store, log, new RecordSealer('snapshots', sealing)),
    maxEntryBytes: commandBytesMax + sealedExtraBytes,
    ...(founding && { bootstrap: voters(...ids) }),
  })
  late.raft = runner
  return store
}

/** Two values, one of the largest size; together a command of so many bytes. */
function opsOf(commandBytes: number): Op[] {
  const put = (key: string, size: number): Op => ({ op: 'kv.put', key, value: new Uint8Array(size).fill(size) })
  const opsWith = (size: number): Op[] => [put('first', valueBytesMax), put('second', size)]
  const sizeOf = (ops: readonly Op[]): number =>
    encodeCommand({ requestId, atMs: clock.wallMs(), by, ops } satisfies StoreCommand).length
  const size = commandBytesMax - valueBytesMax - 1_000
  return opsWith(size + commandBytes - sizeOf(opsWith(size)))
}

/** Resolves when the store holds the key. */
async function holds(store: Store, key: string): Promise<void> {
  if (store.view().key(key) !== undefined) return
  await new Promise<void>((resolve) => {
    const stop = store.onChange(() => {
      if (store.view().key(key) === undefined) return
      stop()
      resolve()
    })
  })
}

t.test(
  'a command of exactly the largest size reaches every peer and outlives a restart; of one byte more nothing does',
  async (t) => {
    const cluster = await Cluster.create()
    t.teardown(() => cluster.end())
    const stores = new Map<number, Store>()
    for (const id of ids) stores.set(id, await start(cluster, id, 'founding'))
    const { id } = await cluster.leader()
    const leader = stores.get(id) as Store
    await leader.submit([found], { by: 'leader' })

    const largest = opsOf(commandBytesMax)
    await t.rejects(leader.submit(opsOf(commandBytesMax + 1), { by, requestId }), {
      code: 'ERR_SKEIN_TOO_LARGE',
      detail: { what: 'command', size: commandBytesMax + 1, limit: commandBytesMax },
    })
    t.equal(leader.view().key('first'), undefined, 'no part of it was taken')
    await leader.submit(largest, { by, requestId })
    await leader.submit([{ op: 'kv.put', key: 'after', value: Buffer.from('it') }], { by })

    const isWhole = (store: Store): boolean =>
      largest.every(
        (op) => op.op === 'kv.put' && Buffer.from(op.value).equals(store.view().key(op.key)?.value ?? Buffer.alloc(0)),
      )
    for (const [at, store] of stores) {
      await holds(store, 'after')
      t.ok(isWhole(store), `peer ${at} has both values, byte for byte`)
    }

    for (const at of ids) await cluster.kill(at)
    for (const at of ids) stores.set(at, await start(cluster, at))
    for (const [at, store] of stores) {
      await holds(store, 'after')
      t.ok(isWhole(store), `peer ${at} reads them from its log`)
    }
  },
)
