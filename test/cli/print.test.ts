import fc from 'fast-check'
import t from 'tap'
import { age, type Column, cut, memory, paintFor, printable, table, widthOf } from '../../lib/cli/print.js'

interface Row {
  readonly name: string
  readonly why: string
}
const columns: readonly Column<Row>[] = [
  { head: 'NAME', text: ({ name }) => name },
  { head: 'WHY', text: ({ why }) => why, tone: () => 'bad' },
]
const plain = (_tone: string, text: string): string => text

t.test('columns are as wide as their widest cell, two spaces apart, without trailing spaces', (t) => {
  const rows = [
    { name: 'a', why: '' },
    { name: 'longer', why: 'because' },
  ]
  t.equal(table(rows, columns, { width: undefined, paint: plain }), 'NAME    WHY\na\nlonger  because\n')
  t.equal(table([], columns, { width: undefined, paint: plain }), 'NAME  WHY\n', 'heads alone when there is nothing')
  t.end()
})

t.test('on a narrow terminal only the last column gives way, and not below eight', (t) => {
  const rows = [{ name: 'a-long-name', why: 'a reason that is longer than the terminal' }]
  t.equal(table(rows, columns, { width: 30, paint: plain }), 'NAME         WHY\na-long-name  a reason that is…\n')
  t.equal(table(rows, columns, { width: 10, paint: plain }), 'NAME         WHY\na-long-name  a reaso…\n')
  t.end()
})

t.test('colours are put around a cell after its width is known', (t) => {
  const paint = (tone: string, text: string): string => (tone === 'bad' ? `<${text}>` : text)
  t.equal(table([{ name: 'a', why: 'b' }], columns, { width: undefined, paint }), 'NAME  WHY\na     <b>\n')
  t.end()
})

t.test('colours only on a terminal, and never with NO_COLOR', (t) => {
  const sink = (isTTY: boolean) => ({ write: () => undefined, isTTY, columns: 80, rows: 24 })
  const painted = (isTTY: boolean, env: Record<string, string>): string => paintFor(sink(isTTY), env)('good', 'x')
  t.equal(painted(true, {}), '\u001b[32mx\u001b[39m')
  t.equal(painted(true, { NO_COLOR: '' }), '\u001b[32mx\u001b[39m', 'an empty NO_COLOR is none')
  t.equal(painted(true, { NO_COLOR: '1' }), 'x')
  t.equal(painted(true, { TERM: 'dumb' }), 'x')
  t.equal(painted(false, { FORCE_COLOR: '1' }), 'x')
  t.end()
})

t.test('what a task says cannot steer the terminal', (t) => {
  t.equal(printable('a\u001b[2Jb\r\nc\u009bd'), 'a [2Jb c d')
  t.end()
})

t.test('width counts columns, not code units', (t) => {
  const cases: readonly (readonly [text: string, width: number])[] = [
    ['abc', 3],
    ['★ ✔', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['🚀', 2],
  ]
  for (const [text, width] of cases) t.equal(widthOf(text), width, text)
  t.end()
})

t.test('a cut text fits, and is cut only when it must be', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 20 }), (text, room) => {
      const short = cut(text, room)
      return widthOf(short) <= room && (widthOf(text) > room || short === text)
    }),
  )
  t.end()
})

t.test('ages and amounts are given in their largest unit', (t) => {
  const at = new Date(0)
  t.strictSame(
    [0, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000].map((ms) => age(at, ms)),
    ['0s', '59s', '1m', '59m', '1h', '1d'],
  )
  t.equal(age(new Date(5_000), 0), '0s', 'a clock behind the leader gives no negative age')
  t.strictSame([0, 512, 1_024, 67_108_864, 8_321_499_136].map(memory), ['0 B', '512 B', '1 KiB', '64 MiB', '7.8 GiB'])
  t.end()
})
