import t from 'tap'
import type { Clock } from '../../../lib/base/clock.js'
import { APPLY_THREAD, type ConfState, type Entry, type Message, makeMessage } from '../../../lib/raft/core/index.js'
import { Applier } from '../../../lib/raft/runner/applier.js'
import { ListMachine, voters } from './cluster.js'

/** Each look at it costs a millisecond. */
class CostlyClock implements Clock {
  #nowMs = 0
  now(): number {
    return this.#nowMs++
  }
  wallMs(): number {
    return 0
  }
  after(): () => void {
    throw new Error('not asked for')
  }
  every(): () => void {
    throw new Error('not asked for')
  }
}

function text(index: number): Entry {
  return { type: 'EntryNormal', term: 2, index, data: Buffer.from(`text ${index}`) }
}

function apply(entries: readonly Entry[]): Message {
  const response = makeMessage('MsgStorageApplyResp', APPLY_THREAD, 1, 0, { entries })
  return makeMessage('MsgStorageApply', 1, APPLY_THREAD, 0, { entries, responses: [response] })
}

function setUp(machineIndex = 0) {
  const machine = new ListMachine()
  machine.appliedIndex = machineIndex
  const seen = {
    notified: [] as number[],
    responded: [] as number[],
    commands: [] as unknown[],
    empty: [] as number[],
    confs: [] as number[],
  }
  machine.applied = (index?: number) => void seen.notified.push(index as number)
  const changed: ConfState = voters(1, 2)
  const applier = new Applier(
    machine,
    new CostlyClock(),
    { index: 10, term: 1, conf: voters(1) },
    {
      command: (entry, result) => seen.commands.push([entry.index, result]),
      empty: (entry) => seen.empty.push(entry.index),
      conf: (entry) => {
        seen.confs.push(entry.index)
        return changed
      },
      respond: (responses) => seen.responded.push(...responses.map(({ entries }) => entries.at(-1)?.index ?? 0)),
    },
  )
  return { machine, applier, seen }
}

t.test('entries are applied in order, and the core hears of it after the machine', async (t) => {
  const { machine, applier, seen } = setUp()
  const empty: Entry = { type: 'EntryNormal', term: 2, index: 11, data: new Uint8Array(0) }
  const conf: Entry = { type: 'EntryConfChangeV2', term: 2, index: 13, data: Buffer.from('v2') }
  applier.push(apply([empty, text(12)]))
  applier.push(apply([conf]))
  t.equal(applier.run(1000), false)
  t.strictSame(machine.texts, ['text 12'])
  t.strictSame(seen, { notified: [12, 13], responded: [12, 13], commands: [[12, 1]], empty: [11], confs: [13] })
  t.strictSame([applier.appliedIndex, applier.appliedTerm, applier.conf.voters], [13, 2, [1, 2]])
})

t.test('a slice ends when its time is up, and the next one goes on where it stopped', async (t) => {
  const { machine, applier, seen } = setUp()
  applier.push(apply(Array.from({ length: 100 }, (_, i) => text(11 + i))))
  t.equal(applier.run(0), true)
  const first = machine.texts.length
  t.ok(first > 0 && first < 100, `${first} in the first slice`)
  t.strictSame(seen.responded, [], 'the message is not done')
  t.strictSame(seen.notified, [10 + first], 'the machine may persist what it has')
  let slices = 1
  while (applier.run(0)) slices++
  t.strictSame(
    machine.texts,
    Array.from({ length: 100 }, (_, i) => `text ${11 + i}`),
  )
  t.ok(slices >= 5, `${slices} slices`)
  t.strictSame(seen.responded, [110])
})

t.test('what the machine found on its own disk is not applied again, but changes of members are', async (t) => {
  const { machine, applier, seen } = setUp(12)
  t.equal(applier.canSnapshot, false, 'its state is ahead of the index')
  const conf: Entry = { type: 'EntryConfChangeV2', term: 2, index: 12, data: Buffer.from('v2') }
  applier.push(apply([text(11), conf]))
  applier.run(1000)
  t.equal(applier.canSnapshot, true)
  applier.push(apply([text(13)]))
  applier.run(1000)
  t.strictSame(machine.texts, ['text 13'])
  t.strictSame(seen.confs, [12])
  t.strictSame(seen.notified, [12, 13])
})

t.test('from the moment a snapshot comes in, nothing queued before it reaches machine or configuration', async (t) => {
  const { machine, applier, seen } = setUp()
  const conf: Entry = { type: 'EntryConfChangeV2', term: 2, index: 12, data: Buffer.from('v2') }
  applier.push(apply([text(11), conf]))
  applier.restoring(50)
  t.equal(applier.run(1000), false)
  t.strictSame([machine.texts, seen.confs, seen.responded], [[], [], []], 'it waits for the snapshot')
  t.equal(applier.canSnapshot, false)
  applier.restored(50, 4, voters(1, 2, 3))
  applier.run(1000)
  t.strictSame([machine.texts, seen.confs], [[], []])
  t.strictSame(seen.responded, [12], 'the core still hears that it is over')
  applier.push(apply([text(51)]))
  applier.run(1000)
  t.strictSame(machine.texts, ['text 51'])
  t.strictSame([applier.appliedIndex, applier.conf.voters], [51, [1, 2, 3]])
})

t.test('a gap between entries is a bug and stops everything', async (t) => {
  const { applier } = setUp()
  applier.push(apply([text(12)]))
  t.throws(() => applier.run(1000), { name: 'SkeinBug' })
})
