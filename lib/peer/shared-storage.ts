import type { Storage } from '../storage/index.js'

/** A storage for one of several owners: closing it closes nothing, since the peer closes the one below after all of them. */
export function shared(storage: Storage): Storage {
  return {
    get: (key) => storage.get(key),
    range: (range) => storage.range(range),
    batch: (writes, options) => storage.batch(writes, options),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}
