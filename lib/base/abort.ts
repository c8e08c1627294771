import { SkeinError } from './errors.js'

/**
 * Waits for `work`, but no longer than until `signal` fires; what `work` does after that is nobody's concern.
 * @throws {SkeinError} ERR_SKEIN_ABORTED (its cause is the signal's reason), or what `work` rejects with
 */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      const cause: unknown = signal.reason
      reject(new SkeinError('ERR_SKEIN_ABORTED', `${what}: aborted`, { what }, { cause }))
    }
    const settled = (): void => signal.removeEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.finally(settled).then(resolve, reject)
  })
}
