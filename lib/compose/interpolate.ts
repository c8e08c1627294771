import { unreachable } from '../base/assert.js'

/** What variables are looked up in. */
export type Environment = Readonly<Record<string, string | undefined>>

/** `unset` names variables that were asked for, are not set and had no default: each became the empty string. */
export type Interpolation =
  | { readonly ok: true; readonly text: string; readonly unset: readonly string[] }
  | { readonly ok: false; readonly why: string }

type Operator = ':-' | '-' | ':?' | '?' | ':+' | '+'
type Part = string | { readonly name: string; readonly operator: Operator | undefined; readonly word: readonly Part[] }

const nameForm = /[A-Za-z_][A-Za-z0-9_]*/y
const operatorForm = /:?[-?+]/y
const depthMax = 32

class Refusal extends Error {}

/**
 * Replaces `$A ${A} ${A:-x} ${A-x} ${A:?e} ${A?e} ${A:+x} ${A+x}`, nested up to 32 deep; `$$` is a dollar sign.
 * Only the branch that is taken is looked at, so `${A:-${B:?e}}` asks for B only when A is missing.
 * Source: Compose specification, "Interpolation".
 */
export function interpolate(text: string, env: Environment): Interpolation {
  if (!text.includes('$')) return { ok: true, text, unset: [] }
  const unset: string[] = []
  try {
    const { parts } = parse(text, 0, 0)
    return { ok: true, text: evaluate(parts, env, unset), unset }
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, why: error.message }
    throw error
  }
}

/** Parts from `from` on: up to the closing brace when nested, else to the end. */
function parse(text: string, from: number, depth: number): { readonly parts: readonly Part[]; readonly end: number } {
  if (depth > depthMax) throw new Refusal(`\${…} is nested more than ${depthMax} deep`)
  const parts: Part[] = []
  let at = from
  while (at < text.length) {
    if (depth > 0 && text[at] === '}') return { parts, end: at + 1 }
    if (text[at] !== '$') {
      const rest = depth > 0 ? text.slice(at).search(/[$}]/) : text.indexOf('$', at) - at
      const end = rest < 0 ? text.length : at + rest
      parts.push(text.slice(at, end))
      at = end
    } else if (text[at + 1] === '$') {
      parts.push('$')
      at += 2
    } else if (text[at + 1] === '{') {
      const name = match(nameForm, text, at + 2)
      if (name === undefined) throw new Refusal(`a variable's name must follow \${ in "${excerpt(text, at)}"`)
      const afterName = at + 2 + name.length
      const operator = match(operatorForm, text, afterName) as Operator | undefined
      if (operator === undefined && text[afterName] !== '}') {
        throw new Refusal(`expected } or one of :- - :? ? :+ + after \${${name} in "${excerpt(text, at)}"`)
      }
      const word = parse(text, afterName + (operator?.length ?? 0), depth + 1)
      parts.push({ name, operator, word: word.parts })
      at = word.end
    } else {
      const name = match(nameForm, text, at + 1)
      if (name === undefined) throw new Refusal(`"${excerpt(text, at)}" names no variable; write $$ for a dollar sign`)
      parts.push({ name, operator: undefined, word: [] })
      at += 1 + name.length
    }
  }
  if (depth > 0) throw new Refusal(`a \${ is never closed by }`)
  return { parts, end: at }
}

function evaluate(parts: readonly Part[], env: Environment, unset: string[]): string {
  let text = ''
  for (const part of parts) text += typeof part === 'string' ? part : lookUp(part, env, unset)
  return text
}

function lookUp({ name, operator, word }: Exclude<Part, string>, env: Environment, unset: string[]): string {
  const value = env[name]
  switch (operator) {
    case undefined:
      if (value === undefined && !unset.includes(name)) unset.push(name)
      return value ?? ''
    case ':-':
      return value === undefined || value === '' ? evaluate(word, env, unset) : value
    case '-':
      return value ?? evaluate(word, env, unset)
    case ':+':
      return value === undefined || value === '' ? '' : evaluate(word, env, unset)
    case '+':
      return value === undefined ? '' : evaluate(word, env, unset)
    case ':?':
      if (value === undefined || value === '') throw new Refusal(missing(name, 'is not set or empty', evaluate(word, env, unset)))
      return value
    case '?':
      if (value === undefined) throw new Refusal(missing(name, 'is not set', evaluate(word, env, unset)))
      return value
    default:
      return unreachable(operator)
  }
}

function missing(name: string, state: string, words: string): string {
  return `the variable ${name} is required and ${state}${words === '' ? '' : `: ${words}`}`
}

function match(form: RegExp, text: string, at: number): string | undefined {
  form.lastIndex = at
  return form.exec(text)?.[0]
}

function excerpt(text: string, at: number): string {
  return text.slice(at, at + 20)
}
