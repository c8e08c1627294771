import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { pause } from '../base/pause.js'
import type { Random } from '../base/random.js'
import type { Link } from '../overlay/transport/index.js'
import type { CallHead, ControlCaller, ControlStreams, ControlVerbs, StreamVerb, Verb } from './control.js'
import { readVerbs, refusedUntried } from './control.js'

/** What travels as parameters of `control.<verb>`. */
export interface ControlEnvelope {
  readonly params: unknown
  readonly requestId: string
  readonly deadlineMs: number
  /** The receiver must carry it out itself or refuse: a call is forwarded once. */
  readonly forwarded: boolean
}

export interface LinkCallerWorld {
  readonly clock: Clock
  readonly random: Random
  /** A live link to some manager; another one after the last was lost. @throws ERR_SKEIN_UNREACHABLE and the handshake's refusals */
  manager(deadlineMs: number, signal: AbortSignal | undefined): Promise<Link>
}

/** Carries verbs over a link to whichever manager answers; a lost link means another manager, under the same request id. */
export class LinkCaller implements ControlCaller {
  readonly #world: LinkCallerWorld

  constructor(world: LinkCallerWorld) {
    this.#world = world
  }

  async call<V extends Verb>(verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]> {
    const { clock, random } = this.#world
    const endMs = clock.now() + head.deadlineMs
    const writes = !readVerbs.has(verb)
    let lost: unknown
    for (let attempt = 0; ; attempt++) {
      let sent = false
      const leftMs = Math.max(1, endMs - clock.now())
      try {
        const link = await this.#world.manager(leftMs, head.signal)
        sent = true
        const envelope: ControlEnvelope = { params, requestId: head.requestId, deadlineMs: leftMs, forwarded: false }
        // A little longer than the manager's own bound, so that its reason arrives rather than our silence.
        const o = { deadlineMs: leftMs + 500, ...(head.signal && { signal: head.signal }) }
        return (await link.call(`control.${verb}`, envelope, o)) as ControlVerbs[V][1]
      } catch (error) {
        // What another manager, or the same one again, refuses now may have been done for the try whose answer was lost.
        const isOpen = writes && lost !== undefined && refusedUntried.some((code) => isSkeinError(error, code))
        if (isOpen) throw unknownOutcome(verb, head.requestId, lost)
        if (!isLost(error) && !isTooEarly(error)) throw error
        if (sent && isLost(error)) lost = error
        const waitMs = backoffMs(attempt, { firstMs: 50, maxMs: 500 }, random)
        if (clock.now() + waitMs >= endMs) throw writes && lost !== undefined ? unknownOutcome(verb, head.requestId, lost) : error
        await pause(clock, waitMs, head.signal)
      }
    }
  }

  async *stream<V extends StreamVerb>(
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ControlStreams[V][1]> {
    let since = 'since' in params ? params.since : undefined
    for (let attempt = 0; ; attempt++) {
      if (signal?.aborted) return
      try {
        const link = await this.#world.manager(10_000, signal)
        const from = verb === 'watch' && since !== undefined ? { ...params, since } : params
        for await (const item of link.stream(`control.${verb}`, { params: from }, { ...(signal && { signal }) })) {
          attempt = 0
          yield item as ControlStreams[V][1]
          if (verb === 'watch') since = (item as ControlStreams['watch'][1]).version
        }
        return
      } catch (error) {
        if (signal?.aborted) return
        // A watch goes on where it was, with another manager; lines of logs cannot be resumed without repeating some.
        if (verb !== 'watch' || !(isLost(error) || isTooEarly(error)) || attempt >= 20) throw error
        await pause(this.#world.clock, backoffMs(attempt, { firstMs: 50, maxMs: 2_000 }, this.#world.random), signal)
      }
    }
  }
}

/** The link broke or nobody answered: nothing was said about the call itself. */
function isLost(error: unknown): boolean {
  return (
    isSkeinError(error, 'ERR_SKEIN_UNREACHABLE') ||
    isSkeinError(error, 'ERR_SKEIN_LINK_LOST') ||
    isSkeinError(error, 'ERR_SKEIN_STOPPED')
  )
}

/** This peer is about to show another certificate, and until then it may call nothing: a moment later it may. */
function isTooEarly(error: unknown): boolean {
  return isSkeinError(error, 'ERR_SKEIN_FORBIDDEN') && ['returning', 'demoted'].includes(error.detail.role)
}

function unknownOutcome(verb: Verb, requestId: string, cause: unknown): SkeinError<'ERR_SKEIN_OUTCOME_UNKNOWN'> {
  const words = `${verb}: the link broke before an answer came; it may have happened. A retry with requestId ${requestId} is safe`
  return new SkeinError('ERR_SKEIN_OUTCOME_UNKNOWN', words, { requestId }, { cause })
}
