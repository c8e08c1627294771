/** Reads a view, gathers operations, becomes one command. */
import { isSkeinError } from '../base/errors.js'
import type { Op } from '../model/command.js'
import type { Store, SubmitOptions } from './store.js'
import type { View } from './view.js'

export interface Transaction {
  readonly view: View
  add(...ops: readonly Op[]): void
}

export interface TransactionOptions extends SubmitOptions {
  /** Tries again from a fresh view when someone else changed what this read; default 0, the conflict is thrown. */
  readonly retriesMax?: number
}

/**
 * Runs `work` (synchronous, perhaps several times) and submits what it added as one command; resolves with what it returned
 * and the command's version. With a `requestId` of the caller's, a repeated call answers for the first; look the object up by name then.
 * @throws {SkeinError} as `Store.submit`, and whatever `work` throws: then nothing was submitted
 */
export async function transact<T>(
  store: Pick<Store, 'view' | 'submit'>,
  work: (transaction: Transaction) => T,
  { retriesMax = 0, ...options }: TransactionOptions,
): Promise<{ readonly value: T; readonly version: number }> {
  for (let attempt = 0; ; attempt++) {
    const ops: Op[] = []
    const value = work({ view: store.view(), add: (...more) => ops.push(...more) })
    try {
      const { version } = await store.submit(ops, attempt === 0 ? options : { ...options, ...retryId(options, attempt) })
      return { value, version }
    } catch (error) {
      if (attempt >= retriesMax || !isSkeinError(error, 'ERR_SKEIN_VERSION_CONFLICT')) throw error
    }
  }
}

/** A refusal is remembered under its request id too: each try has its own, derived so that the caller's retry finds it again. */
function retryId({ requestId }: SubmitOptions, attempt: number): { readonly requestId?: string } {
  return requestId === undefined ? {} : { requestId: `${requestId}.${attempt}` }
}
