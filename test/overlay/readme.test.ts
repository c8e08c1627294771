import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const rows = readFileSync(`${root}/test/overlay/README.md`, 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, number, tests] = line.match(/^\| (\d+) \| .* \| (.*) \|$/) ?? []
    return number === undefined || tests === undefined ? [] : [{ number: Number(number), tests: tests.split('<br>') }]
  })

t.test('the table of what went wrong elsewhere has every number, and each test it names is there', async (t) => {
  t.same(
    rows.map(({ number }) => number),
    Array.from({ length: 32 }, (_, at) => at + 1),
  )
  const named = rows.flatMap(({ tests }) => tests).filter((test) => test.startsWith('`'))
  t.ok(named.length > 60, `${named.length} tests`)
  for (const test of named) {
    const [, file, name] = test.match(/^`([\w/-]+)` (.+)$/) ?? []
    const source = readFileSync(`${root}/test/${file}.test.ts`, 'utf8')
    t.ok(name !== undefined && source.includes(name), test)
  }
})
