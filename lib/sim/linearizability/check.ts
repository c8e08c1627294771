import { assert } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import type { Operation } from './history.js'
import { searchKey } from './search.js'
import { describeViolation } from './witness.js'

export interface CheckOptions {
  /** Configurations visited per key before that key is undecided. Default 1,000,000: about a quarter of a minute. */
  readonly statesMax?: number
}

/** What came of a check; `states` are the configurations visited over all keys. */
export type HistoryVerdict =
  | { readonly outcome: 'linearizable'; readonly operations: number; readonly keys: number; readonly states: number }
  /** `history` is the shortest part of the key's history, from its beginning, that has no legal order; `witness` tells it to people. */
  | {
      readonly outcome: 'violated'
      readonly key: string
      readonly states: number
      readonly history: readonly Operation[]
      readonly witness: string
    }
  /** No key is known to be violated, and these could not be decided within `statesMax`. */
  | { readonly outcome: 'undecided'; readonly keys: readonly string[]; readonly states: number }

/**
 * Judges whether every key of a history behaved like one register that does each operation at one moment between its
 * invocation and its return. Keys are judged apart, which loses nothing: linearizability is a local property.
 * Of several violated keys the one with the shortest story is told.
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION
 * @see Herlihy, Wing 1990, "Linearizability: a correctness condition for concurrent objects", theorem 1
 */
export function checkHistory(history: readonly Operation[], { statesMax = 1_000_000 }: CheckOptions = {}): HistoryVerdict {
  if (!Number.isSafeInteger(statesMax) || statesMax < 1) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `statesMax: expected a whole number from 1, got ${statesMax}`, {
      option: 'statesMax',
      got: statesMax,
    })
  }
  const keys = [...byKey(history)].sort(([a], [b]) => (a < b ? -1 : 1))
  const violated: { readonly key: string; readonly history: readonly Operation[] }[] = []
  const undecided: string[] = []
  let states = 0
  for (const [key, operations] of keys) {
    const result = searchKey(operations, statesMax)
    states += result.states
    if (result.outcome === 'violated') violated.push({ key, history: shortestBadPrefix(operations, statesMax) })
    else if (result.outcome === 'undecided') undecided.push(key)
  }
  const worst = violated.sort((a, b) => a.history.length - b.history.length)[0]
  if (worst !== undefined) {
    const found = searchKey(worst.history, statesMax)
    assert(found.outcome === 'violated', 'a part that was found to be bad stays bad')
    return { outcome: 'violated', states, ...worst, witness: describeViolation(worst.key, worst.history, found.deepest) }
  }
  if (undecided.length > 0) return { outcome: 'undecided', keys: undecided, states }
  return { outcome: 'linearizable', operations: history.length, keys: keys.length, states }
}

function byKey(history: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const keys = new Map<string, Operation[]>()
  for (const operation of history) {
    const found = keys.get(operation.key)
    if (found === undefined) keys.set(operation.key, [operation])
    else found.push(operation)
  }
  return keys
}

/** What had happened by the shortest time at which no order existed any more. A prefix of a linearizable history is linearizable. */
function shortestBadPrefix(history: readonly Operation[], statesMax: number): readonly Operation[] {
  const returns = history.flatMap(({ returnUs }) => returnUs ?? []).sort((a, b) => a - b)
  let [bad, good] = [returns.length - 1, -1]
  while (bad - good > 1) {
    const middle = Math.floor((bad + good) / 2)
    const isBad = searchKey(prefixUntil(history, returns[middle] ?? 0), statesMax).outcome === 'violated'
    if (isBad) bad = middle
    else good = middle
  }
  return prefixUntil(history, returns[bad] ?? 0)
}

/** The history as it looked at that time: writes still under way have an unknown outcome, reads under way have seen nothing. */
function prefixUntil(history: readonly Operation[], timeUs: number): readonly Operation[] {
  return history.flatMap((operation): Operation[] => {
    const { invokeUs, returnUs, op, ok } = operation
    if (invokeUs > timeUs) return []
    if (returnUs === null || returnUs <= timeUs) return [operation]
    return op === 'get' || ok === false ? [] : [{ ...operation, ok: null, returnUs: null }]
  })
}
