import t from 'tap'
import type { Op } from '../../lib/model/command.js'
import { chunksOf, commandBytesMax, sizeOf, taskOpsMax } from '../../lib/orchestrator/chunks.js'

const handles = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
const total = (ops: readonly Op[]): number => ops.reduce((sum, op) => sum + sizeOf(op).tasks, 0)

const create: Op = { op: 'tasks.create', service: 's', specVersion: 1, slotFrom: 3, slotTo: 12_002, desired: 'running' }
const assign: Op = { op: 'tasks.assign', tasks: handles(7_001), nodes: handles(7_001).map(String) }

t.test('large operations are cut and small ones share a command, in order and nothing lost', async (t) => {
  const ops: Op[] = [
    create,
    { op: 'tasks.desire', tasks: handles(10), desired: 'shutdown' },
    assign,
    { op: 'tasks.remove', tasks: [1] },
  ]
  const chunks = chunksOf(ops)
  for (const chunk of chunks) {
    t.ok(total(chunk) <= taskOpsMax)
    t.ok(chunk.reduce((sum, op) => sum + sizeOf(op).bytes, 0) <= commandBytesMax)
  }
  const flat = chunks.flat()
  t.same(
    flat.flatMap((op) => (op.op === 'tasks.create' ? [[op.slotFrom, op.slotTo]] : [])),
    [
      [3, 5_002],
      [5_003, 10_002],
      [10_003, 12_002],
    ],
  )
  t.same(
    flat.flatMap((op) => (op.op === 'tasks.assign' ? op.tasks : [])),
    assign.tasks,
  )
  t.same(
    flat.flatMap((op) => (op.op === 'tasks.assign' ? op.nodes : [])),
    assign.nodes,
  )
  t.equal(flat.at(-1)?.op, 'tasks.remove')
  t.ok(chunks.length <= 6)
})

t.test('long messages are cut by bytes', async (t) => {
  const updates = handles(4_000).map((task) => ({ task, state: 'rejected' as const, message: 'x'.repeat(100) }))
  const chunks = chunksOf([{ op: 'tasks.observe', updates }])
  t.ok(chunks.length > 1)
  t.equal(total(chunks.flat()), 4_000)
  t.ok(chunks.every((chunk) => chunk.reduce((sum, op) => sum + sizeOf(op).bytes, 0) <= commandBytesMax))
})

t.test('no operations make no command', async (t) => {
  t.same(chunksOf([]), [])
  t.same(chunksOf([{ op: 'tasks.remove', tasks: [] }]), [])
})
