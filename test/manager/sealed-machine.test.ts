import { createHash } from 'node:crypto'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { SealedMachine } from '../../lib/manager/sealed-machine.js'
import { LogSealing, makeSealKey, RecordSealer, type RecordSealing } from '../../lib/security/index.js'
import { encodeCommand, type Propose, Store, snapshotChunks, type Tables } from '../../lib/store/index.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { found, node, put, service } from '../store/harness.js'

const sealing = { cluster: 'cluster00001', dataKey: makeSealKey() }
const marker = 'a value that nobody else may read'

interface Replica {
  readonly store: Store
  readonly machine: SealedMachine
  readonly log: LogSealing
}

async function replica(of: RecordSealing = sealing, propose?: Propose): Promise<Replica> {
  const store = await Store.open({ clock: new ManualClock(), random: seededRandom(1), ...(propose && { propose }) })
  const log = new LogSealing(of)
  return { store, log, machine: new SealedMachine(store, log, new RecordSealer('snapshots', of)) }
}

function digest({ store }: Replica): string {
  return createHash('sha256')
    .update(Buffer.concat([...snapshotChunks(store.view() as Tables)]))
    .digest('hex')
}

/** Commands as raft keeps them: by one leader, then by another, then one of a time when they lay open. */
async function history(): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = []
  for (const leader of [0, 1]) {
    const { log } = await replica()
    const commands = [[found, ...node('node00000001')], service('service00001', 'web', 3), [put(marker, marker)]]
    for (const [at, ops] of commands.entries())
      entries.push(log.seal(encodeCommand({ requestId: `${leader}/${at}`, atMs: 1, by: 'leader', ops })))
  }
  entries.push(encodeCommand({ requestId: 'open', atMs: 1, by: 'leader', ops: [put('old', 'open')] }))
  return entries
}

function applyAll({ machine }: Replica, entries: readonly Uint8Array[]): unknown[] {
  const from = machine.appliedIndex + 1
  const outcomes = entries.map((data, at) => machine.apply(data, { index: from + at, term: 1 }))
  machine.applied(machine.appliedIndex)
  return outcomes
}

async function chunksOf(machine: SealedMachine): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of machine.snapshot()) chunks.push(chunk)
  return chunks
}

async function* streamed(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

t.test('two managers that apply the same sealed log, one of them from a snapshot on, hold the same tables', async (t) => {
  const entries = await history()
  const [one, two] = [await replica(), await replica()]
  const outcomes = applyAll(one, entries)
  t.match(outcomes[2], { ok: true })
  applyAll(two, entries.slice(0, 3))
  const late = await replica()
  await late.machine.restore(streamed(await chunksOf(two.machine)), { index: 3, term: 1 })
  t.equal(late.machine.appliedIndex, 3)
  t.same(applyAll(late, entries.slice(3)), outcomes.slice(3))
  t.same(applyAll(two, entries.slice(3)), outcomes.slice(3))
  t.equal(digest(one), digest(two))
  t.equal(digest(one), digest(late))
  t.equal(Buffer.from(one.store.view().key('old')?.value ?? []).toString(), 'open', 'what lay open was applied too')
})

t.test('neither an entry nor a chunk of a snapshot shows what was written', async (t) => {
  const entries = await history()
  const one = await replica()
  applyAll(one, entries)
  const shown = Buffer.concat([...entries.slice(0, -1), ...(await chunksOf(one.machine))])
  t.notOk(shown.includes(marker))
  t.ok(Buffer.concat([...snapshotChunks(one.store.view() as Tables)]).includes(marker), 'the same search finds it in an open one')
})

t.test('a retry is sealed anew and still applied once', async (t) => {
  const { log, ...one } = await replica()
  const command = encodeCommand({ requestId: 'once', atMs: 1, by: 'leader', ops: [put('k')] })
  const [first, again] = [log.seal(command), log.seal(command)]
  t.notSame(first, again)
  const outcomes = applyAll({ log, ...one }, [first, again])
  t.same(outcomes[1], outcomes[0])
  t.equal(one.store.view().key('k')?.version, 1)
})

t.test('another data key, or chunks out of their order, stop the replica before anything is changed', async (t) => {
  const one = await replica()
  const [sealed = new Uint8Array()] = await history()
  const other = await replica({ ...sealing, dataKey: makeSealKey() })
  t.throws(() => other.machine.apply(sealed, { index: 1, term: 1 }), {
    code: 'ERR_SKEIN_CORRUPT',
    message: /entry 1 of the raft log/,
  })
  t.equal(other.machine.appliedIndex, 0)
  applyAll(one, [
    sealed,
    ...Array.from({ length: 20 }, (_, at) =>
      one.log.seal(encodeCommand({ requestId: `r${at}`, atMs: 1, by: 'leader', ops: [put(`k${at}`, 'x'.repeat(50_000))] })),
    ),
  ])
  const chunks = await chunksOf(one.machine)
  t.ok(chunks.length > 2)
  const corrupt = { code: 'ERR_SKEIN_CORRUPT', message: /chunk \d of the snapshot at 21/ }
  await t.rejects(other.machine.restore(streamed(chunks), { index: 21, term: 1 }), corrupt)
  const [head, second, third, ...rest] = chunks as [Uint8Array, Uint8Array, Uint8Array]
  const late = await replica()
  await t.rejects(late.machine.restore(streamed([head, third, second, ...rest]), { index: 21, term: 1 }), corrupt)
  t.equal(late.machine.appliedIndex, 0)
  await late.machine.restore(streamed(chunks), { index: 21, term: 1 })
  t.equal(digest(late), digest(one))
})

t.test('a snapshot that was taken before they were sealed is restored, wherever it was cut', async (t) => {
  const one = await replica()
  applyAll(one, await history())
  const whole = Buffer.concat([...snapshotChunks(one.store.view() as Tables)])
  // A later chunk may begin with any byte, also with the one by which a sealed one is told.
  const large = await replica()
  applyAll(large, [
    large.log.seal(
      encodeCommand({ requestId: 'r', atMs: 1, by: 'leader', ops: [{ op: 'kv.put', key: 'k', value: Buffer.alloc(100, 0xc1) }] }),
    ),
  ])
  const open = Buffer.concat([...snapshotChunks(large.store.view() as Tables)])
  const cut = open.indexOf(0xc1)
  t.not(cut, -1)
  for (const [source, chunks] of [
    [one, [whole]],
    [large, [open.subarray(0, cut), open.subarray(cut)]],
  ] as const) {
    const late = await replica()
    await late.machine.restore(streamed(chunks), { index: source.machine.appliedIndex, term: 1 })
    t.equal(digest(late), digest(source))
  }
})
