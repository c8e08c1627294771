import { type Environment, interpolate } from './interpolate.js'

export interface EnvFile {
  readonly vars: Readonly<Record<string, string>>
  /** What could not be understood, with lines from 1. */
  readonly problems: readonly { readonly line: number; readonly why: string }[]
}

const assignment = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=\s*(.*))?$/s
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"' }

/**
 * Reads `KEY=VALUE` lines: `#` comments, `export`, 'literal' and "escaped" quotes; variables are replaced outside single quotes.
 * A bare `KEY` takes its value from `env` and is left out when that has none. Values stay on one line.
 */
export function parseEnvFile(text: string, env: Environment): EnvFile {
  const vars: Record<string, string> = Object.create(null) as Record<string, string>
  const problems: { line: number; why: string }[] = []
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const found = assignment.exec(line)
    if (found === null) {
      problems.push({ line: index + 1, why: `expected KEY=VALUE, got "${line.slice(0, 40)}"` })
      continue
    }
    const name = found[1] as string
    const value = found[2] === undefined ? env[name] : readValue(found[2], { ...env, ...vars })
    if (typeof value === 'string') vars[name] = value
    else if (value !== undefined) problems.push({ line: index + 1, why: `${name}: ${value.why}` })
  }
  return { vars: { ...vars }, problems }
}

function readValue(raw: string, env: Environment): string | { readonly why: string } {
  const quote = raw[0]
  if (quote === "'") {
    const literal = /^'([^']*)'\s*(?:#.*)?$/.exec(raw)
    return literal === null ? { why: "text after or no closing single quote (')" } : (literal[1] as string)
  }
  if (quote === '"') {
    const quoted = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(raw)
    if (quoted === null) return { why: 'text after or no closing double quote (")' }
    return replaced(
      (quoted[1] as string).replace(/\\(.)/g, (_, character: string) =>
        character === '$' ? '$$' : (escapes[character] ?? `\\${character}`),
      ),
      env,
    )
  }
  return replaced(raw.replace(/(?:^|\s)#.*$/, '').trim(), env)
}

function replaced(text: string, env: Environment): string | { readonly why: string } {
  const result = interpolate(text, env)
  return result.ok ? result.text : { why: result.why }
}
