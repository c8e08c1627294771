/**
 * Workers' heartbeats, as a manager that does not lead passes them on: those of a tenth of a second together, since a leader is woken by
 * each message and hardly at all by what is in it. Each says how long ago it was heard, so that silence is judged as if it had come at once.
 */
import * as v from 'valibot'
import type { SessionApi } from '../api/session.js'
import { SkeinBug } from '../base/assert.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { SkeinError } from '../base/errors.js'
import { errorFromWire, errorToWire, type LinkPool } from '../overlay/transport/index.js'
import { read } from './read-parameters.js'

export interface BeatRelayWorld {
  readonly clock: Clock
  pool(): Pick<LinkPool, 'call' | 'ended'>
}

type Answer = Awaited<ReturnType<SessionApi['beat']>>

interface Beat {
  readonly node: string
  readonly session: string
  readonly heardMs: number
  readonly answer: Deferred<Answer>
}

interface Gathered {
  readonly beats: Beat[]
  readonly cancel: () => void
}

const gatherMs = 100
/** Beats of one message; the next one begins another. */
const beatsMax = 1_000
/** No longer than the worker waits for it. */
const relayMs = 5_000

const short = v.pipe(v.string(), v.maxLength(255))
const age = v.pipe(v.number(), v.minValue(0), v.maxValue(60_000))
const beatsSchema = v.object({
  beats: v.pipe(v.array(v.object({ node: short, session: short, agoMs: age })), v.maxLength(beatsMax)),
})
const refusalSchema = v.object({ code: v.string(), message: v.string(), detail: v.unknown() })
const answersSchema = v.array(
  v.union([
    v.object({ heartbeatMs: v.number(), ledAgoMs: v.optional(v.pipe(v.number(), v.minValue(0))) }),
    v.object({ refusal: refusalSchema }),
  ]),
)

export class BeatRelay {
  readonly #world: BeatRelayWorld
  /** By leader. */
  readonly #gathered = new Map<string, Gathered>()
  #follows = false

  constructor(world: BeatRelayWorld) {
    this.#world = world
  }

  /** Resolves with what the leader answers. @throws as `SessionApi.beat` and `LinkPool.call` */
  async beat(leader: string, node: string, session: string): Promise<Answer> {
    const gathered = this.#gathered.get(leader) ?? this.#begin(leader)
    const answer = deferred<Answer>()
    gathered.beats.push({ node, session, heardMs: this.#world.clock.now(), answer })
    if (gathered.beats.length >= beatsMax) this.#passOn(leader)
    return await answer.promise
  }

  #begin(leader: string): Gathered {
    if (!this.#follows) void this.#world.pool().ended.then(() => this.#passOnAll())
    this.#follows = true
    const gathered = { beats: [], cancel: this.#world.clock.after(gatherMs, () => this.#passOn(leader)) }
    this.#gathered.set(leader, gathered)
    return gathered
  }

  /** The links are gone: whoever waits hears it, and no timer is left. */
  #passOnAll(): void {
    for (const leader of [...this.#gathered.keys()]) this.#passOn(leader)
  }

  #passOn(leader: string): void {
    const gathered = this.#gathered.get(leader)
    if (gathered === undefined) return
    this.#gathered.delete(leader)
    gathered.cancel()
    void this.#ask(leader, gathered.beats)
  }

  /** Never rejects. */
  async #ask(leader: string, beats: readonly Beat[]): Promise<void> {
    const nowMs = this.#world.clock.now()
    const told = beats.map(({ node, session, heardMs }) => ({ node, session, agoMs: nowMs - heardMs }))
    try {
      const options = { deadlineMs: relayMs, channel: 'session' } as const
      const answers = read(answersSchema, await this.#world.pool().call(leader, 'relay.beats', { beats: told }, options))
      for (const [at, { answer }] of beats.entries()) {
        const given = answers[at]
        if (given === undefined) answer.reject(unanswered())
        else if ('refusal' in given) {
          const { code, message, detail } = given.refusal
          answer.reject(errorFromWire(code, message, detail, 'relay.beats'))
        } else
          answer.resolve({ heartbeatMs: given.heartbeatMs, ...(given.ledAgoMs !== undefined && { ledAgoMs: given.ledAgoMs }) })
      }
    } catch (error) {
      for (const { answer } of beats) answer.reject(error)
    }
  }
}

/** What the leader answers to beats that were passed on: to each its own, in their order. */
export async function answerBeats(api: Pick<SessionApi, 'beat'>, value: unknown): Promise<readonly unknown[]> {
  const { beats } = read(beatsSchema, value)
  return await Promise.all(
    beats.map(async ({ node, session, agoMs }) => {
      try {
        return await api.beat(node, session, agoMs)
      } catch (error) {
        if (error instanceof SkeinBug) throw error
        return { refusal: errorToWire(error, 'relay.beats') }
      }
    }),
  )
}

function unanswered(): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'the leader did not answer every heartbeat', { path: 'answers' })
}
