/** Time as a parameter. Milliseconds; `now` is monotonic, of this process, and never compared between peers. */
export interface Clock {
  now(): number
  /** Milliseconds since 1970; only for people to read and for records stamped by the leader. */
  wallMs(): number
  /** Runs `act` once after `delayMs`; the returned function cancels it, any number of times. */
  after(delayMs: number, act: () => void): () => void
  /** Runs `act` every `periodMs`; the returned function cancels it, any number of times. */
  every(periodMs: number, act: () => void): () => void
}
