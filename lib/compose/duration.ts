const msPerUnit: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const part = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g
const whole = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/

/**
 * Milliseconds of a duration as compose writes it (`1m30s`, `500ms`, `0`), or undefined if it is none.
 * Fractions of a millisecond are rounded up: a wish for a delay never becomes no delay.
 */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0
  if (text.length > 64 || !whole.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(part)) ms += Number(amount) * (msPerUnit[unit as string] as number)
  const roundedMs = Math.ceil(Math.round(ms * 1e6) / 1e6)
  return Number.isSafeInteger(roundedMs) ? roundedMs : undefined
}
