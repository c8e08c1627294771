import fc from 'fast-check'
import t from 'tap'
import { splitWords } from '../../lib/compose/words.js'

t.test('quotes and backslashes bind as in a shell, and nothing else does', (t) => {
  const cases: readonly (readonly [line: string, words: readonly string[]])[] = [
    ['node server.mjs', ['node', 'server.mjs']],
    ['  a\tb\n c ', ['a', 'b', 'c']],
    [`sh -c 'echo "$A" | cat'`, ['sh', '-c', 'echo "$A" | cat']],
    ['a "b c" d', ['a', 'b c', 'd']],
    ['"a \\"b\\" \\\\ \\n \\$x"', ['a "b" \\ \\n $x']],
    [`a'b'"c"d`, ['abcd']],
    [`'' ""`, ['', '']],
    ['a\\ b', ['a b']],
    ['a \\\n b', ['a', 'b']],
    ['# not a comment *.js ~', ['#', 'not', 'a', 'comment', '*.js', '~']],
    ['', []],
    ['   ', []],
  ]
  for (const [line, words] of cases) t.match(splitWords(line), { ok: true, words }, JSON.stringify(line))
  t.end()
})

t.test('what is left open is refused', (t) => {
  t.match(splitWords("a 'b"), { ok: false, why: /single quote/ })
  t.match(splitWords('a "b'), { ok: false, why: /double quote/ })
  t.match(splitWords('a \\'), { ok: false, why: /backslash/ })
  t.end()
})

t.test('operators only a shell understands are named, unless quoted', (t) => {
  t.match(splitWords(`a && b | c "|" '>'`), { operators: ['&&', '|'] })
  t.end()
})

t.test('any words, quoted, come back as they were', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 6 }), (words) => {
      const line = words.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`).join(' ')
      const result = splitWords(line)
      return result.ok && JSON.stringify(result.words) === JSON.stringify(words)
    }),
  )
  t.end()
})
