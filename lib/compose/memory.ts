const exponents: Readonly<Record<string, number>> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4 }
const form = /^(\d+(?:\.\d+)?) ?([bkmgt]?)(?:(?<=[kmgt])i?b)?$/i

/** Bytes of an amount of memory as compose writes it (`50M`, `1.5gb`, `1GiB`: all powers of 1,024), or undefined if it is none. */
export function parseMemoryBytes(text: string): number | undefined {
  const found = form.exec(text)
  if (found === null || text.length > 32) return undefined
  const bytes = Math.floor(Number(found[1]) * 1024 ** (exponents[(found[2] as string).toLowerCase()] as number))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
