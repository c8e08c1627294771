// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of stack files are what is tested here
import t from 'tap'
import { parseEnvFile } from '../../lib/compose/env-file.js'

t.test('reads assignments, quotes, comments and variables', (t) => {
  const text = [
    '\uFEFF# a comment',
    'PLAIN=one two # rest',
    'export EXPORTED=yes',
    'HASH=a#b',
    "LITERAL='$PLAIN \\n' # after",
    'ESCAPED="a\\tb \\"c\\" \\$x ${PLAIN}"',
    'USES=${PLAIN:-none}/${SHELL_VAR}',
    'EMPTY=',
    'FROM_SHELL',
    'NOT_THERE',
    '',
    'LAST=1\r',
  ].join('\n')
  t.strictSame(parseEnvFile(text, { SHELL_VAR: 's', FROM_SHELL: 'here' }), {
    vars: {
      PLAIN: 'one two',
      EXPORTED: 'yes',
      HASH: 'a#b',
      LITERAL: '$PLAIN \\n',
      ESCAPED: 'a\tb "c" $x one two',
      USES: 'one two/s',
      EMPTY: '',
      FROM_SHELL: 'here',
      LAST: '1',
    },
    problems: [],
  })
  t.end()
})

t.test('names every line it does not understand', (t) => {
  const { problems } = parseEnvFile('1A=x\nA="open\nB=\'open\nC=${D\nD=ok', {})
  t.match(problems, [
    { line: 1, why: /expected KEY=VALUE, got "1A=x"/ },
    { line: 2, why: /A: .*double quote/ },
    { line: 3, why: /B: .*single quote/ },
    { line: 4, why: /C: expected \}/ },
  ])
  t.end()
})
