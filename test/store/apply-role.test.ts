import t from 'tap'
import type { Op, Outcome } from '../../lib/model/command.js'
import type { NodeRole } from '../../lib/model/node.js'
import { applyCommand } from '../../lib/store/apply.js'
import { Tables } from '../../lib/store/tables.js'
import { someAccess } from './access.js'
import { command } from './commands.js'

const [m1, m2, w1] = ['node00000001', 'node00000002', 'node00000003']

/** A cluster with two managers, raft ids 1 and 2, and a worker. */
function founded() {
  const tables = new Tables()
  let index = 0
  const apply = (...ops: Op[]): Outcome => {
    index++
    return applyCommand(tables, command(`r${index}`, ops, index * 10), index).outcome
  }
  const settings = { heartbeatMs: 1000, graceFactor: 3, pauseToleranceMs: 30_000, taskHistory: 5 }
  apply({ op: 'cluster.found', id: 'c', access: someAccess, settings })
  const add = (id: string, role: NodeRole, raftId: number | undefined): void =>
    void apply({ op: 'node.create', id, name: id, role, availability: 'active', labels: {}, address: '', raftId })
  add(m1, 'manager', 1)
  add(m2, 'manager', 2)
  add(w1, 'worker', undefined)
  const desire = (id: string, role: NodeRole): Outcome => apply({ op: 'node.desire', id, role })
  const become = (id: string, role: NodeRole, raftId: number): Outcome => apply({ op: 'node.become', id, role, raftId })
  return { tables, apply, desire, become }
}
const refused = { ok: false, code: 'ERR_SKEIN_PRECONDITION' }

t.test('a wish is kept until it is carried out, and what members listen to moves with both', async (t) => {
  const { tables, desire, become } = founded()
  const before = tables.cluster?.version ?? 0
  t.match(desire(w1, 'manager'), { ok: true })
  t.match(tables.node(w1), { role: 'worker', becoming: 'manager', raftId: undefined })
  const wished = tables.cluster?.version ?? 0
  t.ok(wished > before)
  t.match(become(w1, 'manager', 7), { ok: true })
  t.match(tables.node(w1), { role: 'manager', becoming: undefined, raftId: 7 })
  t.ok((tables.cluster?.version ?? 0) > wished)
})

t.test('a demoted manager’s raft id is never given again, and its certificates as manager are named as void', async (t) => {
  const { tables, desire, become } = founded()
  desire(m2, 'worker')
  t.match(become(m2, 'worker', 2), { ok: true })
  t.match(tables.node(m2), { role: 'worker', becoming: undefined, raftId: undefined })
  t.match(tables.cluster, { removedRaftIds: [2], demotedNodes: [m2], removedNodes: [] })
  desire(m2, 'manager')
  t.match(become(m2, 'manager', 2), refused)
  t.match(become(m2, 'manager', 3), { ok: true })
  t.match(tables.cluster, { removedRaftIds: [2], demotedNodes: [] }, 'a manager again')
})

t.test('a wish that was taken back is carried out by nobody', async (t) => {
  const { tables, desire, become } = founded()
  desire(m2, 'worker')
  desire(m2, 'manager')
  t.match(become(m2, 'worker', 2), refused)
  t.match(tables.node(m2), { role: 'manager', becoming: undefined, raftId: 2 })
  desire(w1, 'manager')
  desire(w1, 'worker')
  t.match(become(w1, 'manager', 7), refused)
  t.match(become(m1, 'worker', 1), refused, 'never wished')
  desire(m2, 'worker')
  t.match(become(m2, 'worker', 9), refused, 'of another life of it')
})

t.test('the last manager stays one, and a promotion that is not carried out makes up for none', async (t) => {
  const { tables, desire } = founded()
  t.match(desire(m1, 'worker'), { ok: true })
  t.match(desire(m2, 'worker'), { ...refused, message: /last manager/ })
  desire(w1, 'manager')
  t.match(desire(m2, 'worker'), refused)
  t.match(tables.node(m2), { role: 'manager', becoming: undefined })
})

t.test('a removed node is neither demoted nor called, and recovery takes the wish of the one it keeps back', async (t) => {
  const { tables, apply, desire, become } = founded()
  desire(m2, 'worker')
  become(m2, 'worker', 2)
  apply({ op: 'node.remove', id: m2 })
  t.same(tables.cluster?.demotedNodes, [])
  t.match(desire(m2, 'manager'), { ok: false, code: 'ERR_SKEIN_NOT_FOUND' })
  const other = founded()
  other.desire(m2, 'worker')
  t.match(other.apply({ op: 'cluster.recover', keep: m2 }), { ok: true })
  t.match(other.tables.node(m2), { role: 'manager', becoming: undefined })
})

t.test('whether a name is free is looked up, not searched for; one that was let go of is free again', (t) => {
  const { tables, apply } = founded()
  tables.nodes = () => {
    throw new Error('all nodes were walked')
  }
  const rename = (id: string, name: string): Outcome => apply({ op: 'node.update', id, name })
  t.match(rename(w1, m1), { ok: false, code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: m1 } })
  t.match(rename(m1, 'first'), { ok: true })
  t.match(rename(w1, m1), { ok: true })
  t.equal(tables.nodeByName(m1)?.id, w1)
  t.equal(tables.nodeByName('first')?.id, m1)
  t.equal(tables.nodeByName(w1), undefined)
  const swap = [
    { op: 'node.update', id: m1, name: 'between' },
    { op: 'node.update', id: w1, name: 'first' },
    { op: 'node.update', id: m2, name: 'first' },
  ] as const
  t.match(apply(...swap), { ok: false, code: 'ERR_SKEIN_ALREADY_EXISTS' }, 'all or nothing')
  t.equal(tables.nodeByName(m1)?.id, w1, 'what was undone is found under its name again')
  t.equal(tables.nodeByName('first')?.id, m1)
  t.end()
})
