import type { Operation, Value } from './history.js'
import type { Deepest } from './search.js'

/** Lines of the story before the end; what is older had its place. */
const tailMax = 12

/** Tells people why no order of these operations is legal. */
export function describeViolation(key: string, history: readonly Operation[], { order, holds, stuck }: Deepest): string {
  const earlier = Math.max(0, order.length - tailMax)
  return [
    `key ${JSON.stringify(key)}: no legal order of these ${history.length} operations exists; the longest found places ${order.length}.`,
    ...(earlier > 0 ? [`  … ${earlier} before`] : []),
    ...order.slice(earlier).map((operation) => `  ${describeOperation(operation)}`),
    `Now the key holds ${JSON.stringify(holds)}, and one of these must be next, by their times, but none fits:`,
    ...stuck.flatMap((operation) => [`  ${describeOperation(operation)}`, `    ${why(operation, holds, history)}`]),
  ].join('\n')
}

/** One line: when (seconds), who, what, and what came of it. */
export function describeOperation({ client, op, from, value, ok, refused, invokeUs, returnUs }: Operation): string {
  const until = returnUs === null ? '?' : seconds(returnUs)
  const what =
    op === 'get'
      ? `get${ok === true ? ` → ${JSON.stringify(value)}` : ''}`
      : op === 'put'
        ? `put ${JSON.stringify(value)}`
        : `cas ${JSON.stringify(from)} → ${JSON.stringify(value)}`
  const outcome =
    ok === true ? '' : ok === null ? ' (outcome unknown)' : refused === undefined ? ' (did not match)' : ` (refused: ${refused})`
  return `${seconds(invokeUs)}–${until} client ${client}: ${what}${outcome}`
}

function why({ op, ok, from, value }: Operation, holds: Value, history: readonly Operation[]): string {
  if (op === 'cas' && ok === false) return `it says that the key did not hold ${JSON.stringify(from)}, but it does`
  if (op === 'put') return 'it fits, but then the rest does not'
  const needed = op === 'get' ? value : (from ?? null)
  if (needed === holds) return 'it fits, but then the rest does not'
  const writers = history.filter((other) => other.op !== 'get' && other.ok !== false && other.value === needed)
  const words = `it needs ${JSON.stringify(needed)}, `
  if (needed === null) return `${words}the state before any write`
  if (writers.length === 0) return `${words}which nobody has written`
  return `${words}written by ${writers.map((writer) => `client ${writer.client} at ${seconds(writer.invokeUs)}`).join(' and ')}`
}

function seconds(timeUs: number): string {
  return `${(timeUs / 1e6).toFixed(6)} s`
}
