import t from 'tap'
import { type Random, seededRandom } from '../../../lib/base/random.js'
import { MemoryStorage } from '../../../lib/raft/core/index.js'
import type { Applier } from '../../../lib/raft/runner/applier.js'
import { Snapshotter, type SnapshotterParts } from '../../../lib/raft/runner/snapshotter.js'
import type { RaftDisk, SnapshotMeta } from '../../../lib/raft/wal/index.js'
import { ManualClock } from '../../../lib/testing/manual-clock.js'

const conf = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }

/** Applies entries one by one and says at which index each snapshot began. */
async function snapshotsOf(entries: number, o: { readonly everyEntries: number; readonly random: Random }): Promise<number[]> {
  const begun: number[] = []
  const applier = { appliedIndex: 0, appliedBytes: 0, canSnapshot: true, conf }
  const storage = new MemoryStorage()
  const disk = { saveSnapshot: async () => 100, release: async () => undefined }
  let marked = Promise.resolve()
  const snapshotter: Snapshotter = new Snapshotter({
    disk: disk as unknown as RaftDisk,
    storage,
    machine: { snapshot: () => [] } as unknown as SnapshotterParts['machine'],
    applier: applier as unknown as Applier,
    clock: new ManualClock(),
    everyBytes: 2 ** 40,
    trailingEntries: 0,
    sendingIndex: () => undefined,
    mark: (meta: SnapshotMeta) => {
      begun.push(meta.index)
      marked = Promise.resolve().then(() => snapshotter.marked(meta, 'counts'))
    },
    failed: (error) => t.fail(String(error)),
    ...o,
  })
  for (let index = 1; index <= entries; index++) {
    storage.append([{ index, term: 1, type: 'EntryNormal', data: new Uint8Array(10) }])
    applier.appliedIndex = index
    snapshotter.startIfDue()
    await new Promise(setImmediate) // the file is written and the log refers to it
    await marked
  }
  return begun
}

t.test('peers that apply the same entries do not all take their snapshots at the same one', async (t) => {
  const everyEntries = 100
  const all = await Promise.all([1, 2, 3].map((seed) => snapshotsOf(1000, { everyEntries, random: seededRandom(seed) })))
  for (const begun of all) {
    const waits = begun.map((index, at) => index - (begun[at - 1] ?? 0))
    t.ok(waits.length >= 10, 'never less often than asked')
    t.ok(
      waits.every((wait) => wait >= 75 && wait <= everyEntries),
      `waits are from three quarters of it on: ${waits}`,
    )
  }
  const [first = [], ...others] = all
  for (const other of others) t.not(String(other), String(first))
})

t.test(
  'how long a snapshot took is from the captured state to the durable file; one that failed is not among them',
  async (t) => {
    const clock = new ManualClock()
    const outcomes = ['durable', 'failed', 'durable']
    const storage = new MemoryStorage()
    const applier = { appliedIndex: 0, appliedBytes: 0, canSnapshot: true, conf }
    const saveSnapshot = async (): Promise<number> => {
      clock.advance(1_500 * (4 - outcomes.length))
      if (outcomes.shift() === 'failed') throw new Error('no space')
      return 100
    }
    const snapshotter: Snapshotter = new Snapshotter({
      disk: { saveSnapshot, release: async () => undefined } as unknown as RaftDisk,
      storage,
      machine: { snapshot: () => [] } as unknown as SnapshotterParts['machine'],
      applier: applier as unknown as Applier,
      clock,
      random: seededRandom(1),
      everyEntries: 1_000,
      everyBytes: 2 ** 40,
      trailingEntries: 0,
      sendingIndex: () => undefined,
      mark: (meta: SnapshotMeta) => snapshotter.marked(meta, 'counts'),
      failed: (error) => t.fail(String(error)),
    })
    for (let index = 1; index <= 3; index++) {
      storage.append([{ index, term: 1, type: 'EntryNormal', data: new Uint8Array(10) }])
      applier.appliedIndex = index
      const asked = snapshotter.request()
      snapshotter.startIfDue()
      await asked.catch((error: unknown) => t.match(error, { message: 'no space' }))
    }
    t.strictSame(snapshotter.seconds.summary, { count: 2, sum: 1.5 + 4.5, max: 4.5 })
  },
)
