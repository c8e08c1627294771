/** One change of a batch. */
export type Write =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: Uint8Array }

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Keys from `gte` up to but not including `lt`, in byte order; at most `limit`. What is left out is not bounded. */
export interface Range {
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly limit?: number
}

export interface BatchOptions {
  /**
   * `true`: when the promise resolves, the batch is *durable*: it survives a power cut. `false`: it survives the death of
   * this process (kill -9), and a power cut may take the last batches away, newest first, each whole. A synced batch
   * makes every earlier one durable too.
   */
  readonly sync: boolean
}

/**
 * Ordered bytes: keys sort as bytes, `batch` is all or nothing, batches take effect in the order they were called.
 * Every call after `close` rejects with ERR_SKEIN_STOPPED. Arrays handed in must not be changed until the call settles;
 * arrays handed out belong to the caller.
 */
export interface Storage extends AsyncDisposable {
  /** @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Entries as they were when the iteration began; later writes do not show. @throws as `get`, while iterating */
  range(range: Range): AsyncIterable<Entry>
  /** Applies all writes or none; a later write to the same key wins. @throws {SkeinError} ERR_SKEIN_STORAGE, ERR_SKEIN_STOPPED */
  batch(writes: readonly Write[], options: BatchOptions): Promise<void>
  /** Waits for what was begun and frees the directory. Any number of times. */
  close(): Promise<void>
}
