import { SkeinError } from '../base/errors.js'
import type { Identity, LinkRole } from './identity.js'

/**
 * How far a role may go with a verb.
 * - `any`: whatever it names.
 * - `own`: only on its own node.
 */
export type Reach = 'any' | 'own'

type Row = Partial<Readonly<Record<LinkRole, Reach>>>

const everybody: Row = { manager: 'any', operator: 'any', worker: 'any', app: 'any' }
const operators: Row = { manager: 'any', operator: 'any' }
const ownNode: Row = { ...operators, worker: 'own' }
const peers: Row = { manager: 'any', worker: 'any' }
const managers: Row = { manager: 'any' }

/**
 * Who may call what over a link: verb → role → how far. What is not here, nobody may.
 * A worker's key is on a machine that runs other people's tasks: it reads, coordinates, and says what its own node does. It never operates.
 */
export const permissions: Readonly<Record<string, Row>> = {
  // Newcomers, and members that ask for another certificate.
  'join.join': { newcomer: 'any' },
  'join.meet': { newcomer: 'any' },
  'join.credential': { newcomer: 'any', worker: 'any', manager: 'any' },
  'join.renew': { manager: 'own', worker: 'own', returning: 'own', demoted: 'own' },
  'join.trust': { ...peers, returning: 'any', demoted: 'any' },

  // Reading.
  'control.status': everybody,
  'control.nodes.list': everybody,
  'control.nodes.get': everybody,
  'control.services.list': everybody,
  'control.services.get': everybody,
  'control.networks.list': everybody,
  'control.networks.get': everybody,
  'control.tasks.list': everybody,
  'control.tasks.get': everybody,
  'control.tasks.why': everybody,
  'control.watch': everybody,
  'control.logs': everybody,

  // Coordinating.
  'control.kv.get': everybody,
  'control.kv.list': everybody,
  'control.kv.put': everybody,
  'control.kv.delete': everybody,

  // Operating.
  'control.services.create': operators,
  'control.services.replace': operators,
  'control.services.scale': operators,
  'control.services.remove': operators,
  // A worker knows the endpoints of the networks its own tasks are on, and asks for no others.
  'control.services.endpoints': operators,
  // A worker reads no secret or config by asking: what its tasks need comes with their assignments.
  'control.secrets.create': operators,
  'control.secrets.get': operators,
  'control.secrets.list': operators,
  'control.secrets.update': operators,
  'control.secrets.remove': operators,
  'control.configs.create': operators,
  'control.configs.get': operators,
  'control.configs.list': operators,
  'control.configs.update': operators,
  'control.configs.remove': operators,
  'control.networks.create': operators,
  'control.networks.remove': operators,
  'control.nodes.availability': ownNode,
  'control.nodes.label': operators,
  'control.nodes.role': operators,
  'control.nodes.remove': operators,
  'control.invite': operators,
  'control.tokens.rotate': operators,
  'control.ca.show': everybody,
  'control.ca.rotate': operators,

  // A worker's session with any manager; the node is the link's, never the payload's.
  'session.open': peers,
  'session.beat': peers,
  'session.assignments': peers,
  'session.report': peers,
  'session.leave': peers,
  // The same, as a manager that does not lead passes it on: it vouches for whose words they are.
  'relay.open': managers,
  'relay.beats': managers,
  'relay.assignments': managers,
  'relay.report': managers,
  'relay.leave': managers,

  // Between managers, and from managers to workers.
  'agent.logs': managers,
  'raft.snapshot': managers,
}

/** How far this role may go with the verb, else the refusal with its remedy. */
export function authorize(role: LinkRole, verb: string): Reach | SkeinError<'ERR_SKEIN_FORBIDDEN'> {
  const row = Object.hasOwn(permissions, verb) ? permissions[verb] : undefined
  return row?.[role] ?? forbidden(role, verb)
}

/** For a verb that names a node: refuses one who may only act on its own. */
export function authorizeNode(
  { role, node }: Identity,
  verb: string,
  named: string,
): SkeinError<'ERR_SKEIN_FORBIDDEN'> | undefined {
  const reach = authorize(role, verb)
  if (reach instanceof SkeinError) return reach
  return reach === 'any' || named === node ? undefined : forbidden(role, `${verb} on another node than its own (${node})`)
}

function forbidden(role: LinkRole, verb: string): SkeinError<'ERR_SKEIN_FORBIDDEN'> {
  return new SkeinError('ERR_SKEIN_FORBIDDEN', `a ${role} may not call ${verb}; ${remedies[role]}`, { role, verb })
}

const remedies: Readonly<Record<LinkRole, string>> = {
  manager: 'this verb is for nobody over a link',
  operator: 'this verb is for peers',
  worker:
    'its key reads, uses keys and acts on its own node: call this on a manager’s peer, or connect() with the manager’s join string',
  app: 'a worker’s join string lets its bearer read and use keys: connect() with the manager’s join string',
  newcomer: 'it has no certificate yet: join first',
  returning: 'its certificate is of a retired root: it must renew it first',
  demoted: 'it was demoted, and its certificate is still a manager’s: it must renew it first',
}
