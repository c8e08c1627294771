/** The real clock and real chance: the one place that touches them; for peers, and for whoever uses skein/raft alone and gives none. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'

export const processClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, act) {
    const timer = setTimeout(act, delayMs)
    return () => clearTimeout(timer)
  },
  every(periodMs, act) {
    const timer = setInterval(act, periodMs)
    return () => clearInterval(timer)
  },
}

/** 48 random bits as a fraction, not guessable. */
export const processRandom: Random = () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48
