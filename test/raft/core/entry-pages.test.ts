import fc from 'fast-check'
import t from 'tap'
import { EntryPages } from '../../../lib/raft/core/entry-pages.js'
import type { Entry, EntryType } from '../../../lib/raft/core/state.js'

type Act =
  | {
      readonly type: 'append'
      readonly count: number
      readonly sizeBytes: number
      readonly kind: EntryType
      readonly term: number
    }
  | { readonly type: 'truncate' | 'drop'; readonly at: number }

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 1500 }),
      sizeBytes: fc.oneof(fc.nat(40), fc.constantFrom(0, 20_000, 70_000)),
      kind: fc.constantFrom<EntryType>('EntryNormal', 'EntryConfChangeV2'),
      term: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('truncate' as const, 'drop' as const), at: fc.nat(100) }) },
)

function print(entries: readonly Entry[]): string {
  return JSON.stringify(entries.map(({ type, term, index, data }) => [type, term, index, data.length, data[0], data.at(-1)]))
}

t.test('what is packed reads as it was, whatever is appended, cut off and dropped', async (t) => {
  let packed = 0
  fc.assert(
    fc.property(fc.array(acts, { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), (list, from, length) => {
      const pages = new EntryPages(5)
      let model: Entry[] = []
      let firstIndex = 5
      for (const act of list) {
        const next = firstIndex + model.length
        if (act.type === 'append') {
          const few = act.sizeBytes > 1000 ? Math.ceil(act.count / 100) : act.count
          const added = Array.from({ length: few }, (_, i): Entry => {
            const data = new Uint8Array(act.sizeBytes).fill(next + i)
            return { type: i % 400 === 399 ? 'EntryNormal' : act.kind, term: act.term, index: next + i, data }
          })
          pages.append(added)
          model.push(...added)
        } else if (act.type === 'truncate') {
          const keep = Math.floor((model.length * act.at) / 100)
          pages.truncateFrom(firstIndex + keep)
          model.length = keep
        } else if (model.length > 0) {
          const dropped = Math.max(1, Math.floor((model.length * act.at) / 100))
          pages.dropTo(firstIndex + dropped - 1)
          model = model.slice(dropped)
          firstIndex += dropped
        }
        packed += model.length > 2048 ? 1 : 0
        if (pages.firstIndex !== firstIndex || pages.lastIndex !== firstIndex + model.length - 1) throw new Error('wrong bounds')
        if (print(pages.slice(firstIndex, firstIndex + model.length, Number.POSITIVE_INFINITY)) !== print(model))
          throw new Error('wrong entries')
        for (const index of [firstIndex - 1, firstIndex + model.length]) {
          if (pages.term(index) !== undefined) throw new Error('a term of nothing')
        }
        const lo = firstIndex + (from % (model.length + 1))
        const hi = Math.min(firstIndex + model.length, lo + (length % 700))
        if (print(pages.slice(lo, hi, Number.POSITIVE_INFINITY)) !== print(model.slice(lo - firstIndex, hi - firstIndex)))
          throw new Error('wrong slice')
        if (lo < hi && pages.term(lo) !== model[lo - firstIndex]?.term) throw new Error('wrong term')
      }
    }),
    { numRuns: 150 },
  )
  t.ok(packed > 100, `${packed} states with pages`)
})

t.test('a slice holds as many entries as its bytes allow, and never none', async (t) => {
  const pages = new EntryPages(1)
  const data = new Uint8Array(84) // 100 bytes with its overhead
  pages.append(Array.from({ length: 3000 }, (_, i) => ({ type: 'EntryNormal', term: 1, index: i + 1, data })))
  for (const lo of [1, 250, 1000, 1952, 2500]) {
    t.equal(pages.slice(lo, 3001, 1000).length, Math.min(10, 3001 - lo), `ten from ${lo}`)
    t.equal(pages.slice(lo, 3001, 0).length, 1, `one from ${lo}`)
    t.equal(pages.slice(lo, lo, 1000).length, 0, `none from ${lo} to itself`)
  }
})

t.test('a packed entry shares nothing with the bytes it came in', async (t) => {
  const pages = new EntryPages(1)
  const frame = new Uint8Array(2500 * 4).fill(7)
  pages.append(
    Array.from({ length: 2500 }, (_, i) => ({
      type: 'EntryNormal',
      term: 1,
      index: i + 1,
      data: frame.subarray(i * 4, i * 4 + 4),
    })),
  )
  frame.fill(9)
  t.same([...(pages.slice(1, 2, 100)[0] as Entry).data], [7, 7, 7, 7], 'packed')
  t.same([...(pages.slice(2500, 2501, 100)[0] as Entry).data], [9, 9, 9, 9], 'loose')
})
