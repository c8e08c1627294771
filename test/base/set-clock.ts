import { ManualClock } from '../../lib/testing/manual-clock.js'

/** A manual clock whose calendar can be set. */
export class SetClock extends ManualClock {
  aheadMs = 0

  override wallMs(): number {
    return super.wallMs() + this.aheadMs
  }
}
