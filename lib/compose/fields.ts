import { parseDurationMs } from './duration.js'
import type { KnownKeys } from './keys.js'
import { parseMemoryBytes } from './memory.js'
import { nearest } from './nearest.js'
import { type Findings, pathTo } from './notes.js'
import type { Source } from './source.js'

/** A value of the file with where it stands. Every reader returns undefined after noting a problem. */
export interface Field {
  readonly path: string
  readonly line: number
  readonly source: Source
}

export type Readers = Readonly<Record<string, (field: Field) => void>>

/**
 * Reads a map: each honoured key by its reader, keys the specification knows are reported, anything else refuses the file.
 * `x-` keys belong to whoever wrote them, but for `x-skein-`, which is ours.
 */
export function readMap(field: Field, honoured: Readers, known: KnownKeys, findings: Findings): void {
  if (field.source.kind !== 'map') {
    wrong(field, 'a map', findings)
    return
  }
  for (const { key, line, value } of field.source.entries) {
    const child = { path: pathTo(field.path, key), line, source: value }
    if (Object.hasOwn(honoured, key)) honoured[key]?.(child)
    else if (Object.hasOwn(known, key)) findings.notHonoured.push({ path: child.path, line, why: known[key] as string })
    else if (!key.startsWith('x-') || key.startsWith('x-skein-')) {
      const meant = nearest(key, [...Object.keys(honoured), ...Object.keys(known)])
      const remedy = meant === undefined ? 'remove it, or begin it with `x-`' : `did you mean \`${meant}\`?`
      findings.problems.push({ path: child.path, line, why: `unknown key; ${remedy}` })
    }
  }
}

export function readText(field: Field, findings: Findings): string | undefined {
  const { source } = field
  if (source.kind === 'scalar' && typeof source.value === 'string' && source.value !== '') return source.value
  return wrong(field, 'a text', findings)
}

export function readTexts(field: Field, findings: Findings): readonly string[] | undefined {
  if (field.source.kind !== 'list') return wrong(field, 'a list of texts', findings)
  const texts: string[] = []
  for (const [index, source] of field.source.items.entries()) {
    const item = { path: pathTo(field.path, index), line: source.line, source }
    if (source.kind === 'scalar' && typeof source.value === 'string') texts.push(source.value)
    else
      wrong(
        item,
        source.kind === 'scalar' && source.value !== null ? `a text; write '${source.text}' in quotes` : 'a text',
        findings,
      )
  }
  return texts.length === field.source.items.length ? texts : undefined
}

/** A whole number from 0; also as a text, because `${REPLICAS}` becomes one. */
export function readCount(field: Field, findings: Findings): number | undefined {
  const { source } = field
  const text = source.kind === 'scalar' && typeof source.value !== 'boolean' ? source.text : ''
  const count = /^\d{1,15}$/.test(text) ? Number(text) : undefined
  return count ?? wrong(field, 'a whole number from 0', findings)
}

/** Milliseconds. */
export function readDuration(field: Field, findings: Findings): number | undefined {
  const durationMs = field.source.kind === 'scalar' ? parseDurationMs(field.source.text) : undefined
  return durationMs ?? wrong(field, 'a duration with a unit, as 10s or 1m30s', findings)
}

export function readMemory(field: Field, findings: Findings): number | undefined {
  const bytes = field.source.kind === 'scalar' ? parseMemoryBytes(field.source.text) : undefined
  return bytes ?? wrong(field, 'an amount of memory, as 64M or 1.5gb', findings)
}

export function readCpus(field: Field, findings: Findings): number | undefined {
  const text = field.source.kind === 'scalar' ? field.source.text : ''
  const cpus = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : undefined
  return cpus ?? wrong(field, "a number of CPUs, as '0.5'", findings)
}

/**
 * A map `KEY: value` or a list of `KEY=value`. A key without a value is given to `missing`, whose undefined leaves it out.
 * Numbers and booleans are taken as written.
 */
export function readPairs(
  field: Field,
  missing: (name: string) => string | undefined,
  findings: Findings,
): Readonly<Record<string, string>> | undefined {
  const pairs = new Map<string, string>()
  const set = (name: string, value: string | undefined): void => {
    const found = value ?? missing(name)
    if (found !== undefined) pairs.set(name, found)
  }
  const { source } = field
  if (source.kind === 'map') {
    for (const { key, line, value } of source.entries) {
      if (value.kind === 'scalar') set(key, value.value === null ? undefined : value.text)
      else wrong({ path: pathTo(field.path, key), line, source: value }, 'a text or a number', findings)
    }
  } else if (source.kind === 'list') {
    for (const [index, item] of source.items.entries()) {
      const text = item.kind === 'scalar' && typeof item.value === 'string' ? item.value : undefined
      const equals = text?.indexOf('=') ?? -1
      if (text === undefined || text === '' || equals === 0) {
        wrong({ path: pathTo(field.path, index), line: item.line, source: item }, 'KEY=VALUE', findings)
      } else if (equals < 0) set(text, undefined)
      else set(text.slice(0, equals), text.slice(equals + 1))
    }
  } else {
    return wrong(field, 'a map or a list of KEY=VALUE', findings)
  }
  return Object.fromEntries(pairs)
}

/** One of the words; a near miss is named. */
export function readChoice<Choice extends string>(
  field: Field,
  choices: readonly Choice[],
  findings: Findings,
): Choice | undefined {
  const text = field.source.kind === 'scalar' ? field.source.text : undefined
  const choice = choices.find((each) => each === text)
  if (choice !== undefined) return choice
  const meant = text === undefined ? undefined : nearest(text, choices)
  return wrong(field, choices.join(', '), findings, meant === undefined ? '' : `; did you mean \`${meant}\`?`)
}

export function wrong({ path, line, source }: Field, expected: string, findings: Findings, remedy = ''): undefined {
  findings.problems.push({ path, line, why: `expected ${expected}, got ${shown(source)}${remedy}` })
  return undefined
}

function shown(source: Source): string {
  if (source.kind !== 'scalar') return `a ${source.kind}`
  if (source.value === null) return 'nothing'
  return typeof source.value === 'string' ? JSON.stringify(source.value.slice(0, 60)) : source.text
}
