/** Members in network namespaces, where a fifth of all packets that arrive is dropped. */
import { spawnSync } from 'node:child_process'
import { openNamespaces, whyNoNamespaces } from '../../test/chaos/network.js'
import { filterPackets, whyNoPacketFilter } from '../../test/chaos/packet-filter.js'
import { MemberGroup } from './group.js'
import { type Calm, wait, watchPeace } from './peace.js'

/** What was said of members that all live; or why that cannot be measured here. */
export async function loseAtRandom(
  members: number,
  lossRate: number,
  forMs: number,
): Promise<Calm | { readonly skipped: string }> {
  const why = whyNoNamespaces() ?? whyNoPacketFilter()
  if (why !== undefined) return { skipped: why }
  const owned: (readonly string[])[] = []
  const network = await openNamespaces(members, (kind, name) => owned.push([kind, 'del', name]))
  // However the benchmark ends: then there is no time to wait for `close`.
  const removeAll = (): void => owned.forEach((words) => void spawnSync('ip', words))
  process.once('exit', removeAll)
  try {
    const group = await MemberGroup.form({ members, network })
    try {
      for (let peer = 0; peer < members; peer++) await filterPackets(network, peer, { lossRate })
      return await watchPeace(group, () => wait(forMs))
    } finally {
      await group.stop()
    }
  } finally {
    process.off('exit', removeAll)
    await network.close()
  }
}
