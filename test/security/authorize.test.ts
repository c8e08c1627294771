import t from 'tap'
import { streamVerbs, verbs } from '../../lib/api/control.js'
import { installHandlers } from '../../lib/peer/peer-handlers.js'
import { authorize, authorizeNode, type Identity, type LinkRole, permissions } from '../../lib/security/index.js'

const roles: readonly LinkRole[] = ['manager', 'worker', 'operator', 'app', 'newcomer', 'returning', 'demoted']
const allowed = (role: LinkRole, verb: string): boolean => typeof authorize(role, verb) === 'string'

t.test('every verb a peer answers has its row, and there is no row for a verb nobody answers', async (t) => {
  const handlers = new Map<string, never>()
  installHandlers(handlers as never, {} as never)
  t.strictSame([...handlers.keys()].sort(), Object.keys(permissions).sort())
  for (const verb of [...verbs, ...streamVerbs]) t.ok(permissions[`control.${verb}`], verb)
})

t.test('what is in no row nobody may, whatever its name', async (t) => {
  for (const verb of ['', 'control', 'control.', 'raft.vote', 'constructor', '__proto__', 'control.services.create.x'])
    for (const role of roles) t.match(authorize(role, verb), { code: 'ERR_SKEIN_FORBIDDEN', detail: { role, verb } })
})

t.test('a worker’s key reads, uses keys and acts on its own node; it operates nothing', async (t) => {
  const may = [
    'control.status',
    'control.services.list',
    'control.logs',
    'control.watch',
    'control.kv.put',
    'session.open',
    'join.renew',
  ]
  for (const verb of may) t.ok(allowed('worker', verb), verb)
  const mayNot = Object.keys(permissions).filter((verb) =>
    /services\.(create|replace|scale|remove)|nodes\.(label|remove)|secrets|configs|invite|rotate|raft|agent/.test(verb),
  )
  t.ok(mayNot.length >= 10)
  for (const verb of mayNot) t.notOk(allowed('worker', verb), verb)
  t.match(authorize('worker', 'control.services.create'), { message: /manager’s/ }, 'the refusal names the remedy')
  const self: Identity = { node: 'node00000001', role: 'worker', cluster: 'c', key: 'k' }
  t.equal(authorizeNode(self, 'control.nodes.availability', 'node00000001'), undefined)
  t.match(authorizeNode(self, 'control.nodes.availability', 'node00000002'), {
    code: 'ERR_SKEIN_FORBIDDEN',
    message: /another node/,
  })
  t.equal(authorizeNode({ ...self, role: 'manager' }, 'control.nodes.availability', 'node00000002'), undefined)
})

t.test('an app may no more than a worker, a newcomer may only join, one that returns may only renew', async (t) => {
  for (const verb of Object.keys(permissions))
    if (verb.startsWith('control.') && allowed('app', verb)) t.ok(allowed('worker', verb), verb)
  const rights = (role: LinkRole): string[] => Object.keys(permissions).filter((verb) => allowed(role, verb))
  t.strictSame(rights('newcomer').sort(), ['join.credential', 'join.join', 'join.meet'])
  t.strictSame(rights('returning').sort(), ['join.renew', 'join.trust'])
  t.strictSame(rights('demoted').sort(), ['join.renew', 'join.trust'])
})

t.test('an operator operates, and is no peer', async (t) => {
  t.ok(allowed('operator', 'control.services.create'))
  for (const verb of ['session.open', 'raft.snapshot', 'agent.logs', 'join.renew', 'join.join'])
    t.notOk(allowed('operator', verb), verb)
})
