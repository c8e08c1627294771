// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of stack files are what is tested here
import fc from 'fast-check'
import t from 'tap'
import { interpolate } from '../../lib/compose/interpolate.js'

const env = { A: 'a', B: 'b', EMPTY: '' }

t.test('every form gives what the specification says', (t) => {
  const cases: readonly (readonly [text: string, expected: string])[] = [
    ['$A', 'a'],
    ['x${A}y', 'xay'],
    ['$A$B ${A}${B}', 'ab ab'],
    ['$A-$B.', 'a-b.'],
    ['${A:-x}', 'a'],
    ['${EMPTY:-x}', 'x'],
    ['${NONE:-x}', 'x'],
    ['${EMPTY-x}', ''],
    ['${NONE-x}', 'x'],
    ['${NONE-}', ''],
    ['${A:?e}', 'a'],
    ['${EMPTY?e}', ''],
    ['${A:+x}', 'x'],
    ['${EMPTY:+x}', ''],
    ['${EMPTY+x}', 'x'],
    ['${NONE+x}', ''],
    ['${NONE:-${ALSO_NONE:-${B}}}', 'b'],
    ['${NONE:-a}b}', 'ab}'],
    ['${A:+[${B}]}', '[b]'],
    ['$$A', '$A'],
    ['$${A}', '${A}'],
    ['${NONE:-$$5}', '$5'],
    ['${A:-${MUST:?be set}}', 'a'],
  ]
  for (const [text, expected] of cases) t.match(interpolate(text, env), { ok: true, text: expected }, text)
  t.end()
})

t.test('what is malformed or required and missing is refused with words that name it', (t) => {
  const cases: readonly (readonly [text: string, why: RegExp])[] = [
    ['costs $5', /"\$5" names no variable; write \$\$/],
    ['ends in $', /write \$\$/],
    ['${', /name must follow/],
    ['${}', /name must follow/],
    ['${1A}', /name must follow/],
    ['${A', /expected \} or one of/],
    ['${A!x}', /expected \} or one of :- - :\? \? :\+ \+ after \$\{A/],
    ['${NONE:-x', /never closed/],
    ['${NONE:?give it}', /NONE is required and is not set or empty: give it/],
    ['${EMPTY:?}', /EMPTY is required and is not set or empty$/],
    ['${NONE?$A}', /NONE is required and is not set: a/],
    [`${'${A:-'.repeat(40)}x${'}'.repeat(40)}`, /nested more than 32 deep/],
  ]
  for (const [text, why] of cases) t.match(interpolate(text, env), { ok: false, why }, text)
  t.end()
})

t.test('a variable that is not set and has no default becomes nothing and is named once', (t) => {
  t.strictSame(interpolate('$NONE ${NONE} ${OTHER-}', env), { ok: true, text: '  ', unset: ['NONE'] })
  t.end()
})

t.test('a text without a dollar sign is left alone, and $$ brings back any text', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const plain = text.replaceAll('$', '')
      const kept = interpolate(plain, env)
      const escaped = interpolate(text.replaceAll('$', '$$$$'), env)
      return kept.ok && kept.text === plain && escaped.ok && escaped.text === text
    }),
  )
  t.end()
})

t.test('operators agree with a model of three states of a variable', (t) => {
  const value = fc.constantFrom(undefined, '', 'v')
  const operator = fc.constantFrom(':-', '-', ':+', '+')
  fc.assert(
    fc.property(value, operator, fc.stringMatching(/^[a-z ]{0,5}$/), (set, chosen, word) => {
      const missing = chosen.startsWith(':') ? !set : set === undefined
      const expected = chosen.endsWith('-') ? (missing ? word : set) : missing ? '' : word
      const result = interpolate(`<\${X${chosen}${word}}>`, { X: set })
      return result.ok && result.text === `<${expected}>`
    }),
  )
  t.end()
})

t.test('no text makes it throw', (t) => {
  const piece = fc.constantFrom('$', '{', '}', ':', '-', '?', '+', 'A', '${', '$$', ' ')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => typeof interpolate(pieces.join(''), env).ok === 'boolean'),
  )
  t.end()
})
