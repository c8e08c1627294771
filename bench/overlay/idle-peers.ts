/** Peers of one cluster in one process, as its parent orders them; it ends with its parent. */
import { once } from 'node:events'
import { createPeer, inlineDriver, type Peer } from '../../lib/index.js'

export type IdleOrder =
  /** A manager in `dir`, or workers in memory; founds a cluster without `join`. */
  | { readonly type: 'start'; readonly count: number; readonly dir: string | undefined; readonly join: string | undefined }
  | { readonly type: 'invite'; readonly role: 'manager' | 'worker' }
  /** Runs a service with so many replicas that do nothing until they are told to stop. */
  | { readonly type: 'serve'; readonly replicas: number }
  | { readonly type: 'nodes' }
  | { readonly type: 'leads' }

const peers: Peer[] = []
const drivers = () => [
  inlineDriver({
    functions: {
      idle: async ({ signal }) => {
        if (!signal.aborted) await once(signal, 'abort')
      },
    },
  }),
]

async function carryOut(order: IdleOrder): Promise<unknown> {
  const [first] = peers
  if (order.type === 'start') {
    const { count, dir, join } = order
    for (let made = 0; made < count; made++) {
      peers.push(await createPeer({ drivers: drivers(), ...(dir !== undefined && { dir }), ...(join !== undefined && { join }) }))
    }
    return count
  }
  if (first === undefined) throw new Error('no peer was started yet')
  if (order.type === 'invite') return await first.invite(order.role)
  if (order.type === 'leads') return first.leading
  if (order.type === 'nodes') return (await first.nodes.list()).items.map(({ state }) => state)
  const { replicas } = order
  await first.services.create({
    name: 'idle',
    mode: { replicas },
    task: { driver: 'inline', command: ['idle'] },
  })
  for await (const { phase } of first.services.converge('idle', { timeoutMs: 60_000 })) if (phase === 'converged') break
  return replicas
}

process.on('message', ({ tag, order }: { readonly tag: number; readonly order: IdleOrder }) => {
  carryOut(order).then(
    (answer) => process.send?.({ tag, answer }),
    (error: unknown) => process.send?.({ tag, error: String(error) }),
  )
})
process.once('disconnect', () => {
  void Promise.all(peers.map((peer) => peer.stop())).then(() => process.exit())
})
