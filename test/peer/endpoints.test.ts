import fc from 'fast-check'
import t from 'tap'
import type { Endpoint } from '../../lib/api/types.js'
import { PeerEndpoints } from '../../lib/peer/endpoints.js'
import type { HeldRow, RowRef } from '../../lib/peer/network-gossip.js'

/** Rows of two networks, as gossip holds them, and how often all of them were walked. */
class Rows {
  readonly held = new Map<string, HeldRow>()
  walks = 0
  #observer: ((row: RowRef | undefined) => void) | undefined

  set(network: string, task: string, state: 'ready' | 'draining' | undefined): void {
    const owner = 'node00000001'
    const value = { serviceName: 'web', host: '10.0.0.1', ports: [80], state: state ?? 'ready' } as HeldRow['value']
    if (state === undefined) this.held.delete(`${network} ${task}`)
    else this.held.set(`${network} ${task}`, { network: { id: network, name: network }, owner, task, value })
    this.#observer?.({ owner, task })
  }

  *rows(): Generator<HeldRow, void> {
    this.walks++
    yield* this.held.values()
  }

  *rowsOf({ task }: RowRef): Generator<HeldRow, void> {
    for (const row of this.held.values()) if (row.task === task) yield row
  }

  isUsable(): boolean {
    return true
  }

  observe(changed: (row: RowRef | undefined) => void): () => void {
    this.#observer = changed
    return () => {
      this.#observer = undefined
    }
  }

  everythingMayBeOther(): void {
    this.#observer?.(undefined)
  }
}

const taskOf = (slot: number): string => `service00001.${slot}.1`

t.test('what a watch told, one after another, is what a list says; of one changed task only that one is looked at', async (t) => {
  const step = fc.record({
    network: fc.constantFrom('a', 'b'),
    slot: fc.integer({ min: 1, max: 4 }),
    state: fc.constantFrom('ready', 'draining', undefined),
    isRead: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const rows = new Rows()
      rows.set('a', taskOf(9), 'ready')
      const endpoints = new PeerEndpoints(rows)
      const watch = endpoints.watch({ service: 'web' })
      const told = new Map<string, Endpoint>()
      const read = async (): Promise<void> => {
        for (const { prev, next } of (await watch.next()).value ?? []) {
          if (next !== undefined) told.set(next.task, next)
          else if (prev !== undefined) told.delete(prev.task)
        }
      }
      await read()
      for (const { network, slot, state, isRead } of steps) {
        rows.set(network, taskOf(slot), state)
        if (!isRead) continue
        rows.set('b', taskOf(9), rows.held.has(`b ${taskOf(9)}`) ? undefined : 'ready') // there is something to read
        await read()
        const walks = rows.walks
        t.equal(walks, 1)
        t.same([...told.values()].sort(bySlot), endpoints.list({ service: 'web' }))
        rows.walks = walks
      }
      endpoints.stop()
      await watch.next()
    }),
    { numRuns: 50 },
  )
})

t.test('everything is looked at when everything may be other, and when a reader is far behind', async (t) => {
  const rows = new Rows()
  const endpoints = new PeerEndpoints(rows)
  const watch = endpoints.watch()
  rows.set('a', taskOf(1), 'ready')
  t.equal((await watch.next()).value?.length, 1)
  rows.set('a', taskOf(2), 'ready')
  rows.everythingMayBeOther()
  t.equal((await watch.next()).value?.length, 1)
  t.equal(rows.walks, 2)
  for (let slot = 10; slot < 2_000; slot++) rows.set('a', taskOf(slot), 'ready')
  t.equal((await watch.next()).value?.length, 1_990)
  t.equal(rows.walks, 3)
  endpoints.stop()
  t.equal((await watch.next()).done, true)
})

function bySlot(a: Endpoint, b: Endpoint): number {
  return a.slot - b.slot
}
