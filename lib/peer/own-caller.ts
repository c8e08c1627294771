import type { CallHead, ControlCaller, ControlStreams, ControlVerbs, StreamVerb, Verb } from '../api/control.js'
import { isSkeinError } from '../base/errors.js'

export interface OwnCallerWorld {
  /** This peer's own control server, while it is a manager that can answer. */
  manager(): ControlCaller | undefined
  /** To any manager, over a link. */
  readonly relay: ControlCaller
  /** Aborts when the peer stops. */
  readonly stopping: AbortSignal
}

/** How a peer's own app reaches the cluster: a manager's calls go straight to its control server, a worker's over a link. */
export class OwnCaller implements ControlCaller {
  readonly #world: OwnCallerWorld

  constructor(world: OwnCallerWorld) {
    this.#world = world
  }

  call<V extends Verb>(verb: V, params: ControlVerbs[V][0], head: CallHead): Promise<ControlVerbs[V][1]> {
    const { manager, relay } = this.#world
    return (manager() ?? relay).call(verb, params, head)
  }

  /** A watch outlives this peer's time as a manager: it goes on where it was, with another one. */
  async *stream<V extends StreamVerb>(
    verb: V,
    params: ControlStreams[V][0],
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ControlStreams[V][1]> {
    const { manager, relay, stopping } = this.#world
    const own = manager()
    if (own === undefined) return yield* relay.stream(verb, params, signal)
    let reached = params
    try {
      for await (const item of own.stream(verb, params, signal)) {
        if (verb === 'watch') reached = { ...params, since: (item as ControlStreams['watch'][1]).version }
        yield item
      }
    } catch (error) {
      if (verb !== 'watch' || !isSkeinError(error, 'ERR_SKEIN_STOPPED')) throw error
      if (!stopping.aborted) yield* relay.stream(verb, reached, signal)
    }
  }
}
