import { SkeinError } from '../base/errors.js'
import type { LinkRole } from './identity.js'

/** Who may call which verbs, by the part of the rpc method's name before the dot. What is not here, nobody may. */
const allowed: Readonly<Record<string, readonly LinkRole[]>> = {
  join: ['newcomer', 'client', 'worker', 'manager'],
  // A worker's process is an app of the cluster, and its API goes through this link.
  control: ['client', 'worker', 'manager'],
  session: ['worker', 'manager'],
  agent: ['manager'],
  raft: ['manager'],
}

/** Undefined when this role may call the verb, else the refusal. */
export function authorize(role: LinkRole, verb: string): SkeinError<'ERR_SKEIN_FORBIDDEN'> | undefined {
  const family = verb.split('.', 1)[0] ?? ''
  if (Object.hasOwn(allowed, family) && allowed[family]?.includes(role)) return undefined
  return new SkeinError('ERR_SKEIN_FORBIDDEN', `a ${role} may not call ${verb}`, { role, verb })
}
