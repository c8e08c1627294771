import type { Clock } from '../base/clock.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { ManagerOptions } from '../manager/index.js'

export interface OwnRecordWorld {
  readonly node: string
  readonly clock: Clock
  readonly random: Random
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal
  /** The other managers that there is a link to. */
  linked(): readonly string[]
  readonly forward: ManagerOptions['forward']
  /** A leader knows this node, and still this manager hears of none: it may have another role, or another raft id, by now. */
  known(): void
}

/** A start that goes well is over by then. */
const askEveryMs = 5_000

/**
 * For a manager that waits for its leader: asks the others every now and then whether the cluster still has a record of it. One without
 * a record is no member of raft, hears of no leader, and would wait for ever. Resolves with ERR_SKEIN_NOT_FOUND or ERR_SKEIN_REMOVED
 * once a leader that its majority confirmed says so; with undefined when `signal` aborts.
 */
export async function ownRecordGone(world: OwnRecordWorld): Promise<SkeinError | undefined> {
  const { node, signal, linked, known } = world
  while (await pause(world)) {
    for (const manager of linked()) {
      const error = await answerOf(world, manager)
      const isDemoted = isSkeinError(error, 'ERR_SKEIN_FORBIDDEN') && error.detail.role === 'demoted'
      if (error === undefined || isDemoted) known()
      if (isSkeinError(error, 'ERR_SKEIN_REMOVED')) return error
      if (!signal.aborted && isSkeinError(error, 'ERR_SKEIN_NOT_FOUND')) {
        const words = `node ${node}: this cluster has no record of it; start it with an empty directory and a join string`
        return new SkeinError('ERR_SKEIN_NOT_FOUND', words, { kind: 'node', ref: node })
      }
    }
  }
  return undefined
}

/** Only a leader answers what was forwarded to it, and reads after its majority confirmed it: "not there" is not a word of old tables. */
async function answerOf({ node, random, signal, forward }: OwnRecordWorld, manager: string): Promise<unknown> {
  try {
    await forward(manager, 'nodes.get', { ref: node }, { requestId: makeId(random), deadlineMs: askEveryMs, signal })
    return undefined
  } catch (error) {
    return error // also of who does not lead, or is gone: the next one may know
  }
}

/** False when the waiting is over. */
function pause({ clock, signal }: OwnRecordWorld): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false)
    const cancel = clock.after(askEveryMs, () => {
      signal.removeEventListener('abort', onAbort)
      resolve(true)
    })
    const onAbort = (): void => {
      cancel()
      resolve(false)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
