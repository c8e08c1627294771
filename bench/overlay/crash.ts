/** How long a killed process is taken for living. */
import { until } from '../raft/cluster.js'
import type { Member, MemberGroup } from './group.js'
import { monotonicMs } from './monotonic.js'

/** When the first and the last of all others knew. */
export interface Known {
  readonly firstMs: number
  readonly allMs: number
}

/** Before the next one: all that was still under way is over. */
const restMs = 2000

/** Kills one member; resolves when all others have declared it dead, it is back, and all know that too. */
export async function killOne(group: MemberGroup, victim: Member): Promise<Known> {
  const said = group.words.length
  const atMs = monotonicMs()
  group.signal(victim, 'SIGKILL')
  const heardMs = new Map<string, number>()
  await until(`all know that ${victim.node} died`, () => {
    for (const { type, observer, subject, atMs: when } of group.words.slice(said))
      if (type === 'failed' && subject === victim.node && !heardMs.has(observer)) heardMs.set(observer, when - atMs)
    return heardMs.size >= group.size - 1
  })
  await group.start(victim.number)
  await group.untilComplete()
  await new Promise((resolve) => setTimeout(resolve, restMs))
  return { firstMs: Math.min(...heardMs.values()), allMs: Math.max(...heardMs.values()) }
}
