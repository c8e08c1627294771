import { InvalidArgumentError } from 'commander'
import { parseDurationMs } from '../compose/duration.js'
import { parseMemoryBytes } from '../compose/memory.js'

/** Parsers of flag values: each refuses with what it expected; commander adds the flag's name. */

export function count(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a whole number from 0.')
}

export function duration(text: string): number {
  const durationMs = parseDurationMs(text)
  if (durationMs !== undefined) return durationMs
  throw new InvalidArgumentError('Expected a duration with a unit, as 10s or 1m30s.')
}

export function timeout(text: string): number {
  const durationMs = duration(text)
  if (durationMs > 0) return durationMs
  throw new InvalidArgumentError('Expected a duration above 0, as 30s.')
}

export function memoryBytes(text: string): number {
  const bytes = parseMemoryBytes(text)
  if (bytes !== undefined) return bytes
  throw new InvalidArgumentError('Expected an amount of memory, as 64M or 1.5gb.')
}

export function cpus(text: string): number {
  if (/^\d{1,9}(?:\.\d{1,9})?$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('Expected a number of CPUs above 0, as 0.5.')
}

/** `host:port`, `[::1]:port` or `:port`. */
export function hostPort(text: string): string {
  const found = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]*):(\d{1,5})$/.exec(text)
  if (found !== null && Number(found[1]) <= 65_535) return text.startsWith(':') ? `0.0.0.0${text}` : text
  throw new InvalidArgumentError('Expected HOST:PORT with a port up to 65535, as 127.0.0.1:7946 or 127.0.0.1:0 for a free port.')
}

/** As `hostPort`, or that it listens nowhere. */
export function listenAt(text: string): string {
  return text === 'none' ? text : hostPort(text)
}

/** `KEY=VALUE`, gathered over repeats; a later one wins. */
export function pair(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const equals = text.indexOf('=')
  // Nobody would keep it: what reads messages and files leaves it out, or refuses it.
  if (text.startsWith('__proto__=')) throw new InvalidArgumentError('Expected another KEY than __proto__.')
  if (equals > 0) return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) }
  throw new InvalidArgumentError('Expected KEY=VALUE.')
}

export function gathered(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

export function spread(text: string, before: readonly string[] = []): readonly string[] {
  const found = /^spread=(.+)$/.exec(text)
  if (found !== null) return [...before, found[1] as string]
  throw new InvalidArgumentError('Expected spread=ATTRIBUTE, as spread=node.labels.zone.')
}

/** A duration ago, or a date; `nowMs` is milliseconds since 1970. */
export function instant(text: string, nowMs: number): Date | undefined {
  const agoMs = parseDurationMs(text)
  if (agoMs !== undefined) return new Date(nowMs - agoMs)
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : new Date(at)
}
