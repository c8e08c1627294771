import type { Cluster } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import { deferred } from '../base/deferred.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'

export interface DrainWishes {
  readonly node: string
  readonly nodes: Cluster['nodes']
  readonly clock: Clock
  readonly logger: Logger
  readonly timeoutMs: number
}

const lookMs = 100

/** Moves the node's tasks elsewhere before it stops; gives up after `timeoutMs`. Never rejects. */
export async function drainNode({ node, nodes, clock, logger, timeoutMs }: DrainWishes): Promise<void> {
  try {
    const call = { deadlineMs: timeoutMs }
    await nodes.drain(node, call)
    const endMs = clock.now() + timeoutMs
    for (;;) {
      const { tasks } = await nodes.get(node, call)
      if (tasks === 0 || clock.now() >= endMs) return
      const pause = deferred()
      clock.after(lookMs, () => pause.resolve())
      await pause.promise
    }
  } catch (error) {
    logger.warn({ error: messageOf(error) }, 'could not drain; stopping anyway')
  }
}
