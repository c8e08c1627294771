/** Where tasks answer, as their nodes say in gossip: rows that only the node writes, in one scope for each network. */
import { parseHostPort } from '../base/host-port.js'
import type { NetworkRef } from '../model/network.js'
import { array, badMessage, natural, object, oneOf, type Reader, refine, string } from '../wire/decode.js'
import type { AssignedTask, TaskReport } from './session.js'

export const endpointTable = 'endpoints'

const scopePrefix = 'network:'

/** The scope that those hold who have a task on the network, and every manager. */
export function scopeOf({ id }: Pick<NetworkRef, 'id'>): string {
  return `${scopePrefix}${id}`
}

/** The network's id, if the scope is one of a network. */
export function networkOf(scope: string): string | undefined {
  return scope.startsWith(scopePrefix) ? scope.slice(scopePrefix.length) : undefined
}

/** One running task; its key is the task's id, `service.slot.generation`. */
export interface EndpointRow {
  readonly serviceName: string
  /** The node's host, as the node advertises itself. */
  readonly host: string
  /** TCP ports the task is known to listen on. */
  readonly ports: readonly number[]
  /** `draining`: it is to stop, and gets no new connections. */
  readonly state: 'ready' | 'draining'
}

const portsMax = 16

const port = refine(natural, (value, path) => {
  if (value >= 1 && value <= 65_535) return value
  throw badMessage(path, 'a port from 1 to 65535', value)
})

export const readEndpointRow = object({
  serviceName: string,
  host: string,
  ports: array(port, { lengthMax: portsMax }),
  state: oneOf('ready', 'draining'),
}) as Reader<EndpointRow>

/** The row of a task while it runs; undefined: it has none. */
export function endpointRowOf(task: AssignedTask, { state }: TaskReport, address: string): EndpointRow | undefined {
  // Of a peer that only dials out nobody can reach a task.
  if (state !== 'running' || address === '') return undefined
  const isStopping = task.desired === 'shutdown' || task.desired === 'remove'
  return {
    serviceName: task.serviceName,
    host: parseHostPort(address)?.host ?? address,
    ports: portsOf(task.spec),
    state: isStopping ? 'draining' : 'ready',
  }
}

/** The port that the task's environment tells it to listen on, by the name everybody uses for that. */
function portsOf({ env }: AssignedTask['spec']): readonly number[] {
  const given = env.PORT ?? ''
  const number = /^\d{1,5}$/.test(given) ? Number(given) : 0
  return number >= 1 && number <= 65_535 ? [number] : []
}
