import { assert } from '../../base/assert.js'
import type { Operation, Value } from './history.js'

/** How far a search came: an order of operations that is legal, what the key then holds, and what found no place. */
export interface Deepest {
  readonly order: readonly Operation[]
  readonly holds: Value
  /** Operations of known outcome that could come next by their times, and do not fit. */
  readonly stuck: readonly Operation[]
}

export type SearchResult =
  | { readonly outcome: 'linearizable'; readonly states: number; readonly order: readonly Operation[] }
  | { readonly outcome: 'violated'; readonly states: number; readonly deepest: Deepest }
  /** The bound was reached: neither an order nor its impossibility was found. */
  | { readonly outcome: 'undecided'; readonly states: number }

/** An operation of known outcome, with its values as numbers: each step of the search compares them. */
interface Known {
  readonly source: Operation
  readonly kind: 'put' | 'get' | 'cas' | 'mismatch'
  readonly from: number
  readonly value: number
  readonly invokeUs: number
  readonly returnUs: number
}

/** A write of unknown outcome: `from` is undefined for put. */
interface Unknown {
  readonly source: Operation
  readonly from: number | undefined
  readonly value: number
  readonly invokeUs: number
}

/** Which operations have their place, and what the key holds then. Operations before `low` are placed; bit i of `window` is low + i. */
interface Config {
  readonly low: number
  readonly window: bigint
  readonly placed: number
  /** Interned set of unknown writes that took effect. */
  readonly used: number
  readonly holds: number
  readonly before: Config | undefined
  /** What was placed since `before`, in order. */
  readonly step: readonly Operation[]
}

/** Candidates at one moment: known operations that may come next, and the time by which unknown ones must have been invoked. */
interface Frontier {
  readonly next: readonly number[]
  readonly untilUs: number
}

/**
 * Looks for a legal order of one key's operations that respects their times: A comes before B when A returned before B was invoked.
 *
 * Wing and Gong's search with Lowe's memory of configurations, and three rules that cut it without losing an order:
 * what only reads is placed as soon as it fits; an unknown write is placed only right before the operation that sees it
 * (any order can be changed into such a one: an unseen unknown write can as well never have happened); and among equals, what
 * returned first is tried first.
 * @param statesMax Configurations visited before giving up as undecided.
 * @see Wing, Gong 1993, "Testing and verifying concurrent objects"; Lowe 2017, "Testing for linearizability"
 */
export function searchKey(history: readonly Operation[], statesMax: number): SearchResult {
  return new Search(history).run(statesMax)
}

class Search {
  readonly #known: readonly Known[]
  readonly #unknown: readonly Unknown[]
  readonly #values: readonly Value[]
  readonly #sets = new SetTable()
  /** Unknown writes by the value they leave. */
  readonly #makers = new Map<number, number[]>()
  #states = 0

  constructor(history: readonly Operation[]) {
    const numbers = new Map<Value, number>([[null, 0]])
    const numberOf = (value: Value): number => {
      const found = numbers.get(value) ?? numbers.size
      numbers.set(value, found)
      return found
    }
    this.#known = history.flatMap((source) => knownOf(source, numberOf)).sort((a, b) => a.invokeUs - b.invokeUs)
    this.#unknown = history.flatMap((source) => unknownOf(source, numberOf))
    this.#values = [...numbers.keys()]
    this.#unknown.forEach(({ value }, at) => {
      this.#makers.set(value, [...(this.#makers.get(value) ?? []), at])
    })
  }

  run(statesMax: number): SearchResult {
    const seen = new Set<string>()
    const first: Config = { low: 0, window: 0n, placed: 0, used: SetTable.empty, holds: 0, before: undefined, step: [] }
    const stack: Config[] = [first]
    let deepest = first
    for (;;) {
      const top = stack.pop()
      if (top === undefined) return { outcome: 'violated', states: this.#states, deepest: this.#describe(deepest) }
      const config = this.#placeReaders(top)
      if (config.placed === this.#known.length) {
        return { outcome: 'linearizable', states: this.#states, order: orderOf(config) }
      }
      const key = `${config.low},${config.window.toString(36)},${config.used},${config.holds}`
      if (seen.has(key)) continue
      seen.add(key)
      if (++this.#states > statesMax) return { outcome: 'undecided', states: statesMax }
      if (config.placed > deepest.placed) deepest = config
      // The last pushed is tried first.
      stack.push(...this.#branches(config).reverse())
    }
  }

  /** Places every operation that only reads and fits: doing so at once never rules anything out. */
  #placeReaders(config: Config): Config {
    let current = config
    for (;;) {
      const fitting = this.#frontier(current).next.filter((at) => onlyReads(this.#at(at), current.holds))
      if (fitting.length === 0) return current
      current = this.#place(current, fitting, current.holds, [], 'same step')
    }
  }

  #frontier({ low, window }: Config): Frontier {
    const next: number[] = []
    let untilUs = Number.POSITIVE_INFINITY
    let bits = window
    for (let at = low; at < this.#known.length; at++, bits >>= 1n) {
      if ((bits & 1n) === 1n) continue
      const { invokeUs, returnUs } = this.#at(at)
      if (invokeUs > untilUs) break // something that has no place yet had returned before this began
      next.push(at)
      untilUs = Math.min(untilUs, returnUs)
    }
    return { next, untilUs }
  }

  /** Every way to go on from here by one known operation, the likeliest first. */
  #branches(config: Config): Config[] {
    const { next, untilUs } = this.#frontier(config)
    const { holds } = config
    const ready: Config[] = []
    const viaUnknown: Config[] = []
    const byReturn = [...next].sort((a, b) => this.#at(a).returnUs - this.#at(b).returnUs)
    for (const at of byReturn) {
      const { kind, from, value } = this.#at(at)
      if (kind === 'put') ready.push(this.#place(config, [at], value, []))
      else if (kind === 'cas' && from === holds) ready.push(this.#place(config, [at], value, []))
      else if (kind === 'mismatch') {
        for (const write of this.#leavers(config, untilUs)) {
          viaUnknown.push(this.#place(config, [at], this.#maybe(write).value, [write]))
        }
      } else {
        const needed = kind === 'get' ? value : from
        for (const writes of this.#waysTo(needed, config, untilUs, [])) viaUnknown.push(this.#place(config, [at], value, writes))
      }
    }
    return [...ready, ...viaUnknown]
  }

  /** Unknown writes that would change what the key holds. */
  #leavers({ holds, used }: Config, untilUs: number): number[] {
    return [...this.#unknown.keys()].filter((write) => {
      const { from, value, invokeUs } = this.#maybe(write)
      const fits = from === undefined || from === holds
      return fits && value !== holds && invokeUs <= untilUs && !this.#sets.has(used, write)
    })
  }

  /** Chains of unknown writes after which the key holds `needed`; a cas in it may need another unknown write before. */
  *#waysTo(needed: number, config: Config, untilUs: number, after: readonly number[]): Generator<readonly number[]> {
    for (const write of this.#makers.get(needed) ?? []) {
      const { from, invokeUs } = this.#maybe(write)
      if (invokeUs > untilUs || after.includes(write) || this.#sets.has(config.used, write)) continue
      const chain = [write, ...after]
      if (from === undefined || from === config.holds) yield chain
      else yield* this.#waysTo(from, config, untilUs, chain)
    }
  }

  #place(
    config: Config,
    known: readonly number[],
    holds: number,
    writes: readonly number[],
    how: 'new step' | 'same step' = 'new step',
  ): Config {
    let { low, window } = config
    for (const at of known) window |= 1n << BigInt(at - low)
    while ((window & 1n) === 1n) {
      window >>= 1n
      low++
    }
    const placed = [...writes.map((write) => this.#maybe(write).source), ...known.map((at) => this.#at(at).source)]
    return {
      low,
      window,
      placed: config.placed + known.length,
      used: writes.reduce((used, write) => this.#sets.add(used, write), config.used),
      holds,
      before: how === 'new step' ? config : config.before,
      step: how === 'new step' ? placed : [...config.step, ...placed],
    }
  }

  #describe(config: Config): Deepest {
    return {
      order: orderOf(config),
      holds: this.#values[config.holds] as Value,
      stuck: this.#frontier(config).next.map((at) => this.#at(at).source),
    }
  }

  #at(index: number): Known {
    const found = this.#known[index]
    assert(found !== undefined, 'an index of a known operation')
    return found
  }

  #maybe(index: number): Unknown {
    const found = this.#unknown[index]
    assert(found !== undefined, 'an index of an unknown write')
    return found
  }
}

/** Sets of small numbers, each with one id: configurations then compare by id. */
class SetTable {
  static readonly empty = 0
  readonly #sets: ReadonlySet<number>[] = [new Set()]
  readonly #ids = new Map<string, number>()
  readonly #additions = new Map<string, number>()

  has(id: number, member: number): boolean {
    return this.#sets[id]?.has(member) ?? false
  }

  add(id: number, member: number): number {
    const addition = `${id}+${member}`
    const known = this.#additions.get(addition)
    if (known !== undefined) return known
    const set = new Set([...(this.#sets[id] ?? []), member])
    const text = [...set].sort((a, b) => a - b).join()
    const result = this.#ids.get(text) ?? this.#sets.push(set) - 1
    this.#ids.set(text, result)
    this.#additions.set(addition, result)
    return result
  }
}

function knownOf(source: Operation, numberOf: (value: Value) => number): Known[] {
  const { op, from, ok, refused, value, invokeUs, returnUs } = source
  if (ok === null || returnUs === null) return []
  const isMismatch = op === 'cas' && ok === false && refused === undefined
  if (ok === false && !isMismatch) return [] // turned away: no effect, and nothing was seen
  return [
    { source, kind: isMismatch ? 'mismatch' : op, from: numberOf(from ?? null), value: numberOf(value), invokeUs, returnUs },
  ]
}

function unknownOf(source: Operation, numberOf: (value: Value) => number): Unknown[] {
  const { op, from, ok, value, invokeUs } = source
  if (ok !== null || op === 'get') return []
  return [{ source, from: op === 'put' ? undefined : numberOf(from ?? null), value: numberOf(value), invokeUs }]
}

/** It fits what the key holds and leaves it as it is. */
function onlyReads({ kind, from, value }: Known, holds: number): boolean {
  return (kind === 'get' && value === holds) || (kind === 'mismatch' && from !== holds)
}

function orderOf(config: Config): readonly Operation[] {
  const steps: (readonly Operation[])[] = []
  for (let at: Config | undefined = config; at !== undefined; at = at.before) steps.push(at.step)
  return steps.reverse().flat()
}
