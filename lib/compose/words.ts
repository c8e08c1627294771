export type Words =
  | { readonly ok: true; readonly words: readonly string[]; readonly operators: readonly string[] }
  | { readonly ok: false; readonly why: string }

const shellOperators = new Set(['&&', '||', '|', ';', '&', '>', '>>', '<', '2>', '2>&1'])

/**
 * Splits a command line into words by the quoting rules of a shell, and by nothing else: no variables, globs or comments.
 * `operators` lists bare words only a shell would have understood: they are passed as arguments, which is rarely what was meant.
 * Source: POSIX.1-2017, Shell Command Language §2.2.
 */
export function splitWords(line: string): Words {
  const words: string[] = []
  const operators: string[] = []
  let word: string | undefined
  let bare = true
  let at = 0
  const finish = (): void => {
    if (word !== undefined) words.push(word)
    if (word !== undefined && bare && shellOperators.has(word)) operators.push(word)
    word = undefined
    bare = true
  }
  while (at < line.length) {
    const character = line[at] as string
    if (/\s/.test(character)) {
      finish()
      at += 1
    } else if (character === "'") {
      const end = line.indexOf("'", at + 1)
      if (end < 0) return { ok: false, why: "a single quote (') is never closed" }
      word = (word ?? '') + line.slice(at + 1, end)
      bare = false
      at = end + 1
    } else if (character === '"') {
      const quoted = readDoubleQuoted(line, at + 1)
      if (quoted === undefined) return { ok: false, why: 'a double quote (") is never closed' }
      word = (word ?? '') + quoted.text
      bare = false
      at = quoted.end
    } else if (character === '\\') {
      if (at + 1 >= line.length) return { ok: false, why: 'a backslash at the end escapes nothing' }
      if (line[at + 1] !== '\n') word = (word ?? '') + line[at + 1]
      bare = false
      at += 2
    } else {
      word = (word ?? '') + character
      at += 1
    }
  }
  finish()
  return { ok: true, words, operators }
}

/** Text up to the closing quote and the place after it; inside, a backslash escapes only \ " $ ` and a line's end. */
function readDoubleQuoted(line: string, from: number): { readonly text: string; readonly end: number } | undefined {
  let text = ''
  for (let at = from; at < line.length; at++) {
    const character = line[at] as string
    if (character === '"') return { text, end: at + 1 }
    const next = line[at + 1]
    if (character === '\\' && next !== undefined && '\\"$`\n'.includes(next)) {
      if (next !== '\n') text += next
      at += 1
    } else {
      text += character
    }
  }
  return undefined
}
