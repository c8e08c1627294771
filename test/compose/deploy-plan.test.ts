import t from 'tap'
import { deployPlan, namespaceLabel } from '../../lib/compose/index.js'
import type { ServiceSpec } from '../../lib/model/service.js'

const spec = (name: string, more: Partial<ServiceSpec> = {}, stack = 'shop'): ServiceSpec => ({
  name,
  labels: { [namespaceLabel]: stack },
  task: { command: ['x'] },
  ...more,
})
const service = (wish: ServiceSpec) => ({ name: wish.name, spec: wish })
const names = (plan: ReturnType<typeof deployPlan>) => ({
  create: plan.create.map(({ name }) => name),
  update: plan.update.map(({ spec: { name } }) => name),
  unchanged: plan.unchanged.map(({ name }) => name),
  remove: plan.remove.map(({ name }) => name),
  taken: plan.taken.map(({ name }) => name),
})

const current = [
  service(spec('shop_same')),
  service(spec('shop_changed')),
  service(spec('shop_gone')),
  service(spec('other_gone', {}, 'other')),
]
const wished = { name: 'shop', services: [spec('shop_same'), spec('shop_changed', { mode: { replicas: 2 } }), spec('shop_new')] }

t.test('creates what is new, updates what differs, leaves what is equal, and keeps what the file no longer names', (t) => {
  const plan = deployPlan(current, wished)
  t.strictSame(names(plan), { create: ['shop_new'], update: ['shop_changed'], unchanged: ['shop_same'], remove: [], taken: [] })
  t.equal(plan.update[0]?.current, current[1])
  t.end()
})

t.test('with prune it removes what the file no longer names, of this stack only', (t) => {
  t.strictSame(names(deployPlan(current, wished, { prune: true })).remove, ['shop_gone'])
  t.end()
})

t.test('a default written out is no change, and neither is the order of keys', (t) => {
  const short = spec('shop_a', { task: { command: ['x'], env: { A: '1', B: '2' } } })
  const long = spec('shop_a', {
    restart: { when: 'any' },
    mode: { replicas: 1 },
    task: { env: { B: '2', A: '1' }, driver: 'process', stopGraceMs: 10_000, command: ['x'] },
  })
  t.strictSame(names(deployPlan([service(short)], { name: 'shop', services: [long] })).unchanged, ['shop_a'])
  t.end()
})

t.test('a name held by a service outside the stack is taken, not updated', (t) => {
  for (const holder of [spec('shop_a', {}, 'other'), spec('shop_a', { labels: {} })]) {
    const plan = names(deployPlan([service(holder)], { name: 'shop', services: [spec('shop_a')] }, { prune: true }))
    t.strictSame(plan, { create: [], update: [], unchanged: [], remove: [], taken: ['shop_a'] })
  }
  t.end()
})

t.test('a plan carried out plans nothing more', (t) => {
  const after = [...wished.services.map(service)]
  t.match(names(deployPlan(after, wished, { prune: true })), { create: [], update: [], remove: [], taken: [] })
  t.end()
})
