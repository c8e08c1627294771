/** The leader's machine falls silent: in network namespaces, where every packet from and to it is lost without a word. */
import { spawnSync } from 'node:child_process'
import { type Network, openNamespaces, whyNoNamespaces } from '../../test/chaos/network.js'
import type { Member } from './cluster.js'
import { loseLeader } from './failover.js'
import { SkeinCluster } from './skein-cluster.js'

const peers = 3
/** The one that was cut off hears of its successor before the next loss. */
const backMs = 2000

/** Milliseconds until the next acknowledged write, for each loss; or why that cannot be measured here. */
export async function silenceLeaders(
  times: number,
  note: (time: number, ms: number) => void,
): Promise<{ readonly ms: readonly number[] } | { readonly skipped: string }> {
  const why = whyNoNamespaces()
  if (why !== undefined) return { skipped: why }
  const owned: (readonly string[])[] = []
  const network = await openNamespaces(peers, (kind, name) => owned.push([kind, 'del', name]))
  // However the benchmark ends: then there is no time to wait for `close`.
  const removeAll = (): void => owned.forEach((words) => void spawnSync('ip', words))
  process.once('exit', removeAll)
  try {
    const cluster = await SkeinCluster.start({ network })
    try {
      const ms: number[] = []
      for (let time = 1; time <= times; time++) {
        ms.push(await loseLeader(cluster, { lose: (leader) => silence(network, leader), regain: () => speak(network) }))
        note(time, ms.at(-1) as number)
      }
      return { ms }
    } finally {
      await cluster.stop()
    }
  } finally {
    process.off('exit', removeAll)
    await network.close()
  }
}

async function silence({ cut }: Network, leader: Member): Promise<void> {
  const at = Number(leader.name.split(' ')[1]) - 1
  const others = Array.from({ length: peers }, (_, peer) => peer).filter((peer) => peer !== at)
  await cut?.(
    others.flatMap(
      (other) =>
        [
          [at, other],
          [other, at],
        ] as const,
    ),
  )
}

async function speak({ cut }: Network): Promise<void> {
  await cut?.([])
  await new Promise((resolve) => setTimeout(resolve, backMs))
}
