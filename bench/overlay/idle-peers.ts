/** Peers of one cluster in one process, as its parent orders them; it ends with its parent. */
import { once } from 'node:events'
import type { Peer } from '../../lib/index.js'

/** As an app has it: the package, which is read in a third less of the time that the single modules take. */
const skein = new URL('../../npm/index.js', import.meta.url).href
const { createPeer, inlineDriver } = (await import(skein)) as typeof import('../../lib/index.js')

export type IdleOrder =
  /** A manager in `dir`, or workers in memory; founds a cluster without `join`. */
  | { readonly type: 'start'; readonly count: number; readonly dir: string | undefined; readonly join: string | undefined }
  | { readonly type: 'invite'; readonly role: 'manager' | 'worker' }
  /** Runs a service with so many replicas that do nothing until they are told to stop. */
  | { readonly type: 'serve'; readonly replicas: number }
  | { readonly type: 'nodes' }
  | { readonly type: 'leads' }
  | { readonly type: 'sent' }

/** Payloads that all peers of a process have sent since their start, in bytes. */
export interface SentBytes {
  readonly gossip: number
  readonly membership: number
  /** Of the slowest peer: above 0 it probes less often, and so sends less. */
  readonly healthScore: number
}

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
  if (order.type === 'sent') return sentBytes()
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

function sentBytes(): SentBytes {
  return {
    gossip: sumOf('skein_gossip_sent_bytes_total'),
    membership: sumOf('skein_swim_sent_bytes_total'),
    healthScore: Math.max(...each('skein_swim_health_score')),
  }
}

function sumOf(metric: string): number {
  return each(metric).reduce((sum, value) => sum + value, 0)
}

function each(metric: string): number[] {
  return peers.map((peer) => {
    const value = peer.metrics()[metric]
    if (typeof value !== 'number') throw new Error(`a peer tells no ${metric}`)
    return value
  })
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
