import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../lib/base/random.js'
import type { ConfState, Entry, HardState } from '../../../lib/raft/core/state.js'
import type { SnapshotMeta, WalBatch } from '../../../lib/raft/wal/batch.js'
import { RaftDisk } from '../../../lib/raft/wal/raft-disk.js'
import type { WalContents } from '../../../lib/raft/wal/replay.js'
import { cutPowerAfter, FaultyDisk } from './faulty-disk.js'

const conf: ConfState = { voters: [1], votersOutgoing: [], learners: [2], learnersNext: [], autoLeave: false }

type Command =
  | { readonly type: 'append'; readonly count: number; readonly back: number; readonly sizeBytes: number }
  | { readonly type: 'vote'; readonly termBy: number; readonly vote: number }
  | { readonly type: 'commit'; readonly by: number }
  | { readonly type: 'take' }
  | { readonly type: 'install'; readonly ahead: number }
  | { readonly type: 'release' }
  | { readonly type: 'reopen' }
  | { readonly type: 'power-cut'; readonly afterOperations: number }
  /** The process alone: what it wrote can still be read, and is not durable yet. */
  | { readonly type: 'kill'; readonly afterOperations: number }

const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant('append' as const), count: fc.nat(4), back: fc.nat(5), sizeBytes: fc.nat(700) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('vote' as const), termBy: fc.nat(2), vote: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('commit' as const), by: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('install' as const), ahead: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('power-cut' as const), afterOperations: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), afterOperations: fc.nat(8) }) },
)

/** The log as plain data: what a disk that never fails would hold. */
interface Model {
  readonly hardState: HardState
  readonly snapshot: SnapshotMeta | undefined
  readonly entries: readonly Entry[]
}

const emptyModel: Model = { hardState: { term: 0, vote: 0, commit: 0 }, snapshot: undefined, entries: [] }

function base(model: Model): number {
  return model.snapshot?.index ?? 0
}

function last(model: Model): number {
  return base(model) + model.entries.length
}

function contentsOf(index: number): Buffer[] {
  return [Buffer.from(`state at ${index}, `), Buffer.alloc(900, index % 251)]
}

/** The write a command asks for, and the model after it. */
function plan(model: Model, command: Command): { readonly batch: WalBatch; readonly next: Model } | undefined {
  const { hardState, entries } = model
  switch (command.type) {
    case 'append': {
      const first = Math.max(hardState.commit + 1, last(model) + 1 - command.back)
      const term = Math.max(1, hardState.term)
      const added = Array.from({ length: command.count + 1 }, (_, i): Entry => {
        return { type: 'EntryNormal', term, index: first + i, data: Buffer.alloc(command.sizeBytes, first + i + term) }
      })
      const next = {
        ...model,
        hardState: { ...hardState, term },
        entries: [...entries.slice(0, first - 1 - base(model)), ...added],
      }
      return { batch: { entries: added, hardState: next.hardState }, next }
    }
    case 'vote': {
      const state = { ...hardState, term: hardState.term + command.termBy, vote: command.vote }
      return { batch: { hardState: state }, next: { ...model, hardState: state } }
    }
    case 'commit': {
      const state = { ...hardState, commit: Math.min(last(model), hardState.commit + command.by) }
      return { batch: { hardState: state }, next: { ...model, hardState: state } }
    }
    case 'take': {
      const index = hardState.commit
      if (index <= base(model)) return undefined
      const meta = { index, term: (entries[index - 1 - base(model)] as Entry).term, confState: conf }
      const next = { ...model, snapshot: meta, entries: entries.slice(index - base(model)) }
      return { batch: { snapshot: { kind: 'taken', ...meta } }, next }
    }
    case 'install': {
      const term = hardState.term + 1
      const meta = { index: last(model) + command.ahead, term, confState: conf }
      const state = { term, vote: 0, commit: meta.index }
      return {
        batch: { snapshot: { kind: 'installed', ...meta }, hardState: state },
        next: { hardState: state, snapshot: meta, entries: [] },
      }
    }
    default:
      return undefined
  }
}

function print({ hardState, snapshot, entries }: WalContents | Model): string {
  return JSON.stringify({
    hardState: hardState ?? emptyModel.hardState,
    snapshot: snapshot === undefined ? null : [snapshot.index, snapshot.term, snapshot.confState],
    entries: entries.map(({ index, term, data }) => [index, term, data.length, data[0]]),
  })
}

function openDisk(files: FaultyDisk): ReturnType<typeof RaftDisk.open> {
  return RaftDisk.open({ dir: '/data', clusterId: 'c1u2s3t4e5r6', nodeId: 9, files, segmentBytes: 1500, growBytes: 1024 })
}

/** Plays the commands on a disk that forgets what was not synced, beside a model that forgets nothing. */
async function play(sequence: readonly Command[], seed: number): Promise<void> {
  const random = seededRandom(seed)
  let files = new FaultyDisk({ durableWrites: seed % 2 === 0 })
  let { disk } = await openDisk(files)
  let model: Model = emptyModel

  let isKilled = false
  for (const command of sequence) {
    if (command.type === 'kill') isKilled = true
    if (command.type === 'power-cut' || command.type === 'kill') cutPowerAfter(files, command.afterOperations)
    let under: Model = model // what is being written when the power goes
    try {
      if (command.type === 'release') await disk.release()
      const planned = plan(model, command)
      if (planned !== undefined) {
        under = planned.next
        if (planned.batch.snapshot !== undefined)
          await disk.saveSnapshot(planned.batch.snapshot, contentsOf(planned.batch.snapshot.index))
        await disk.append([planned.batch])
        model = planned.next
      }
      if (command.type !== 'reopen') continue
      await disk.close()
    } catch {
      // The power went; the reopen below says what is left.
    }
    if (isKilled) files.fault = () => undefined
    else files = files.afterPowerCut(random)
    isKilled = false
    const opened = await openDisk(files)
    const seen = print(opened.contents)
    if (seen !== print(model) && seen !== print(under)) {
      throw new Error(`after ${JSON.stringify(command)}:\nfound    ${seen}\nexpected ${print(model)}\nor       ${print(under)}`)
    }
    model = seen === print(model) ? model : under
    disk = opened.disk
    if (model.snapshot !== undefined) {
      const found: Uint8Array[] = []
      for await (const chunk of disk.readSnapshot(model.snapshot)) found.push(chunk)
      if (!Buffer.concat(found).equals(Buffer.concat(contentsOf(model.snapshot.index)))) throw new Error('the snapshot changed')
    }
  }
}

t.test('whatever is written and whenever the power goes, a reopen finds what was acknowledged', async () => {
  await fc.assert(fc.asyncProperty(fc.array(commands, { minLength: 5, maxLength: 60 }), fc.nat(1 << 30), play), {
    numRuns: 400,
  })
})
