import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import type { Entry, HardState } from '../../lib/raft/core/index.js'
import { SimDisk } from '../../lib/sim/sim-disk.js'

const faultless = { stallRate: 0, syncFailRate: 0, latentRate: 0, misdirectRate: 0 }
const whole = { syncMin: 1, syncMean: 1, applyMean: 1, tornRate: 0, ...faultless }
const torn = { ...whole, tornRate: 1 }

function entries(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => {
    return { type: 'EntryNormal', term, index: from + at, data: new Uint8Array(0) } as const
  })
}

function record(hardState: HardState, list: readonly Entry[]) {
  return { hardState, entries: list, responses: [] }
}

t.test('a write is not durable before its sync ends, and what is written meanwhile is one batch', (t) => {
  const disk = new SimDisk(whole, seededRandom(1), seededRandom(2))
  t.type(disk.write(record({ term: 1, vote: 2, commit: 0 }, entries(1, 2, 1))), 'number')
  t.equal(disk.write(record({ term: 1, vote: 2, commit: 1 }, entries(3, 3, 1))), undefined, 'a sync is under way')
  t.equal(disk.write(record({ term: 1, vote: 2, commit: 2 }, entries(4, 4, 1))), undefined)
  t.equal(disk.storage.lastIndex(), 0)
  const first = disk.finish()
  t.equal(first.durable.length, 1)
  t.type(first.nextDelay, 'number')
  t.equal(disk.storage.lastIndex(), 2)
  const second = disk.finish()
  t.equal(second.durable.length, 2)
  t.equal(second.nextDelay, undefined)
  t.equal(disk.storage.lastIndex(), 4)
  t.end()
})

t.test('a crash loses everything that was not synced', (t) => {
  const disk = new SimDisk(whole, seededRandom(1), seededRandom(2))
  disk.writeNow(record({ term: 1, vote: 1, commit: 1 }, entries(1, 2, 1)))
  disk.write(record({ term: 2, vote: 3, commit: 2 }, entries(3, 4, 2)))
  disk.write(record({ term: 3, vote: 0, commit: 2 }, entries(3, 3, 3)))
  disk.crash((start) => start)
  t.same(disk.hardState, { term: 1, vote: 1, commit: 1 })
  t.equal(disk.storage.lastIndex(), 2)
  t.throws(() => disk.finish(), /ends only after it began/)
  t.end()
})

t.test('a torn write never separates term from vote and never commits what is not there', (t) => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const disk = new SimDisk(torn, seededRandom(seed), seededRandom(2))
      disk.writeNow(record({ term: 1, vote: 1, commit: 1 }, entries(1, 4, 1)))
      disk.write(record({ term: 2, vote: 3, commit: 4 }, entries(3, 4, 2)))
      disk.crash((start) => start)
      const { term, vote, commit } = disk.hardState
      const { storage } = disk
      t.equal(vote, term === 1 ? 1 : 3)
      const isNew = storage.lastIndex() === 4 && storage.term(4) === 2
      t.ok(commit === 1 || (commit === 4 && isNew), `commit ${commit}, log ends at ${storage.term(storage.lastIndex())}`)
      seen.add(`${term} ${storage.lastIndex()} ${storage.term(storage.lastIndex())} ${commit}`)
    }),
  )
  t.same([...seen].sort(), ['1 4 1 1', '2 3 2 1', '2 4 1 1', '2 4 2 1', '2 4 2 4'])
  t.end()
})
