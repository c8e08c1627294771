import type { SwimEvent } from '../../../lib/overlay/swim/index.js'
import type { OverlaySim } from '../../../lib/sim/overlay/index.js'

/** What everyone says of everyone while `run` runs. */
export function newsOf(sim: OverlaySim, run: () => void): { type: SwimEvent['type']; observer: number; subject: number }[] {
  const news: { type: SwimEvent['type']; observer: number; subject: number }[] = []
  sim.watch(({ event, observer, subject }) => news.push({ type: event.type, observer, subject }))
  run()
  return news
}

export function others(sim: OverlaySim, index: number): number[] {
  return sim.live().filter((each) => each !== index)
}
