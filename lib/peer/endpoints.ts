/** Where services answer, as this process can see: rows of networks, merged by task, with a verdict on each. */
import type { Endpoint, EndpointChange, EndpointFilter, Endpoints } from '../api/types.js'
import { deferred } from '../base/deferred.js'
import { parseTaskId } from '../model/task.js'
import type { HeldRow, NetworkGossip, RowRef } from './network-gossip.js'

/** Of so many changed tasks a slow reader is told one by one; past it all are looked at. */
const changedMax = 1_024

type Networks = Pick<NetworkGossip, 'rows' | 'rowsOf' | 'isUsable' | 'observe'>

export class PeerEndpoints implements Endpoints {
  readonly #networks: Networks
  readonly #stopping = new AbortController()

  constructor(networks: Networks) {
    this.#networks = networks
  }

  /** Ends every watch. */
  stop(): void {
    this.#stopping.abort()
  }

  list(filter: EndpointFilter = {}): readonly Endpoint[] {
    return this.#endpointsOf(this.#networks.rows(), filter)
  }

  #endpointsOf(rows: Iterable<HeldRow>, filter: EndpointFilter): readonly Endpoint[] {
    const found = new Map<string, Endpoint>()
    for (const row of rows) {
      const task = parseTaskId(row.task)
      if (task === undefined || !isAskedFor(filter, task.service, row)) continue
      const key = keyOf(row.owner, row.task)
      found.set(key, merged(found.get(key), row, task, this.#networks.isUsable(row)))
    }
    return [...found.values()].sort(byServiceAndSlot)
  }

  async *watch({
    signal,
    ...filter
  }: EndpointFilter & { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly EndpointChange[], void> {
    const over = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal])
    const told = new Map<string, Endpoint>()
    let woken = deferred()
    const wake = (): void => woken.resolve()
    // What may be other than told: a few tasks, or, to begin with, everything.
    let changed: Map<string, RowRef> | 'all' = 'all'
    const unobserve = this.#networks.observe((row) => {
      if (row === undefined || (changed !== 'all' && changed.size >= changedMax)) changed = 'all'
      else if (changed !== 'all') changed.set(keyOf(row.owner, row.task), row)
      wake()
    })
    over.addEventListener('abort', wake, { once: true })
    try {
      while (!over.aborted) {
        woken = deferred()
        const changes = this.#changesOf(changed, told, filter)
        changed = new Map()
        if (changes.length > 0) yield changes
        else await woken.promise
      }
    } finally {
      over.removeEventListener('abort', wake)
      unobserve()
    }
  }

  #changesOf(
    changed: ReadonlyMap<string, RowRef> | 'all',
    told: Map<string, Endpoint>,
    filter: EndpointFilter,
  ): EndpointChange[] {
    if (changed === 'all') return differences(told, this.list(filter), told)
    const rows = [...changed.values()].flatMap((row) => [...this.#networks.rowsOf(row)])
    const toldOfThem = new Map<string, Endpoint>()
    for (const key of changed.keys()) {
      const prev = told.get(key)
      if (prev !== undefined) toldOfThem.set(key, prev)
    }
    return differences(told, this.#endpointsOf(rows, filter), toldOfThem)
  }
}

function isAskedFor({ service, network }: EndpointFilter, serviceId: string, row: HeldRow): boolean {
  if (network !== undefined && row.network.name !== network) return false
  return service === undefined || service === serviceId || service === row.value.serviceName
}

/** A task on several networks says the same in each; where one lags behind, the more careful word counts. */
function merged(
  other: Endpoint | undefined,
  { network, owner, task, value: { serviceName, host, ports, state } }: HeldRow,
  { service, slot }: { readonly service: string; readonly slot: number },
  isUsable: boolean,
): Endpoint {
  const isDraining = state === 'draining' || other?.state === 'draining'
  return {
    task,
    name: `${serviceName}.${slot}`,
    service,
    serviceName,
    slot,
    node: owner,
    networks: [...(other?.networks ?? []), network.name].sort(),
    host,
    ports,
    state: isDraining ? 'draining' : 'ready',
    eligible: isUsable && !isDraining && other?.eligible !== false,
  }
}

/** What is other than told, which is then told; `present` is all there is of those in `looked`. */
function differences(
  told: Map<string, Endpoint>,
  present: readonly Endpoint[],
  looked: ReadonlyMap<string, Endpoint>,
): EndpointChange[] {
  const changes: EndpointChange[] = []
  const gone = new Map(looked)
  for (const next of present) {
    const key = keyOf(next.node, next.task)
    const prev = told.get(key)
    gone.delete(key)
    if (prev !== undefined && isSame(prev, next)) continue
    told.set(key, next)
    changes.push({ prev, next })
  }
  for (const [key, prev] of gone) {
    told.delete(key)
    changes.push({ prev, next: undefined })
  }
  return changes
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  if (a.state !== b.state || a.eligible !== b.eligible || a.host !== b.host || a.serviceName !== b.serviceName) return false
  return a.ports.join() === b.ports.join() && a.networks.join() === b.networks.join()
}

function keyOf(node: string, task: string): string {
  return `${node} ${task}`
}

function byServiceAndSlot(a: Endpoint, b: Endpoint): number {
  if (a.serviceName !== b.serviceName) return a.serviceName < b.serviceName ? -1 : 1
  return a.slot - b.slot || (a.task < b.task ? -1 : 1)
}
