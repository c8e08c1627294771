import fc from 'fast-check'
import t from 'tap'
import { decodeConfChange, encodeConfChange } from '../../../lib/raft/core/index.js'
import type { ConfChange, EntryType } from '../../../lib/raft/core/state.js'

function decoded(type: EntryType, text: string): ConfChange {
  return decodeConfChange({ type, index: 7, data: Buffer.from(text) })
}

t.test('a change reads as text in the log', (t) => {
  const text = (change: ConfChange) => Buffer.from(encodeConfChange(change).data).toString()
  t.equal(text({ changes: [{ type: 'v', nodeId: 3 }] }), 'v3')
  t.equal(text({ v1: true, changes: [{ type: 'r', nodeId: 3 }] }), 'r3')
  t.equal(
    text({
      transition: 'explicit',
      changes: [
        { type: 'v', nodeId: 4 },
        { type: 'l', nodeId: 1 },
      ],
    }),
    'explicit v4 l1',
  )
  t.equal(text({ changes: [] }), '', 'the change of nothing, which leaves a joint configuration, is empty')
  t.equal(encodeConfChange({ v1: true, changes: [{ type: 'r', nodeId: 3 }] }).type, 'EntryConfChange')
  t.equal(encodeConfChange({ changes: [] }).type, 'EntryConfChangeV2')
  t.end()
})

t.test('what is encoded decodes to the same', (t) => {
  const single = fc.record({
    type: fc.constantFrom('v' as const, 'l' as const, 'r' as const, 'u' as const),
    nodeId: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
  })
  const v2 = fc.record({
    transition: fc.constantFrom('auto' as const, 'implicit' as const, 'explicit' as const),
    changes: fc.array(single),
  })
  const v1 = single.map((one) => ({ v1: true, transition: 'auto' as const, changes: [one] }))
  fc.assert(
    fc.property(fc.oneof(v1, v2), (change) => {
      t.same(decodeConfChange({ ...encodeConfChange(change), index: 1 }), change)
    }),
    { numRuns: 50 },
  )
  t.end()
})

t.test('bytes that are no change are refused, naming the entry', (t) => {
  for (const text of ['x1', 'v', 'v0', 'v-1', 'v1,v2', ' v1', 'v1  v2', 'sometimes v1', 'v99999999999999999999', 'v1\n']) {
    t.throws(
      () => decoded('EntryConfChangeV2', text),
      { code: 'ERR_SKEIN_BAD_MESSAGE', detail: { path: 'entries/7/data' } },
      text,
    )
  }
  for (const text of ['', 'v1 v2', 'explicit v1'])
    t.throws(() => decoded('EntryConfChange', text), { code: 'ERR_SKEIN_BAD_MESSAGE' }, text)
  t.end()
})

t.test('a change without meaning is not encoded', (t) => {
  t.throws(() => encodeConfChange({ v1: true, changes: [] }), { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.throws(() => encodeConfChange({ changes: [{ type: 'v', nodeId: 0 }] }), { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.throws(() => encodeConfChange({ changes: [{ type: 'v', nodeId: 1.5 }] }), { code: 'ERR_SKEIN_CONF_CHANGE' })
  t.end()
})
