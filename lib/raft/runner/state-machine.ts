/**
 * What the log is for: a deterministic machine that every peer feeds with the same entries in the same order.
 * The runner does not know what entries mean; whoever does implements this.
 */
export interface StateMachine {
  /** Index of the last entry already reflected when the machine was opened from its own disk; 0 when new. Entries up to it are not applied again. */
  readonly appliedIndex: number
  /**
   * Synchronous and deterministic: no clock, no chance. The result goes to the proposer on this peer. One call per
   * committed entry with data, in order. An error it throws stops this peer: the others may have gone on.
   * @param data A view into memory the log shares with other entries: to be copied by whoever keeps it, changed by nobody.
   */
  apply(data: Uint8Array, at: EntryPosition): unknown
  /** Called after each batch of entries (also of entries without data), so that the machine can persist and notify. */
  applied(index: number): void
  /** Captures the state now; the chunks (at most 64 MiB each) may be read later while apply goes on. */
  snapshot(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  /** Replaces the whole state by that of a snapshot at `at.index`. */
  restore(chunks: AsyncIterable<Uint8Array>, at: EntryPosition): Promise<void>
}

export interface EntryPosition {
  readonly index: number
  readonly term: number
}
