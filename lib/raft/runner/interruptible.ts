/**
 * The same items, until the signal aborts: then its reason is thrown, also when the source never answers again. The
 * source is told, but not waited for.
 */
export async function* interruptible<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  interrupted.catch(() => undefined) // whoever waits below hears of it
  let isOver = false
  try {
    for (;;) {
      signal.throwIfAborted()
      const { done, value } = await Promise.race([iterator.next(), interrupted])
      isOver = done === true
      if (isOver) return
      yield value
    }
  } finally {
    // A source that failed or hangs has nothing more to say.
    if (!isOver) iterator.return?.().catch(() => undefined)
  }
}
