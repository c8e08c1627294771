import fc from 'fast-check'
import t from 'tap'
import { parseDurationMs } from '../../lib/compose/duration.js'
import { parseMemoryBytes } from '../../lib/compose/memory.js'
import { nearest } from '../../lib/compose/nearest.js'

t.test('durations are read in every unit and only with one', (t) => {
  const cases: readonly (readonly [text: string, ms: number | undefined])[] = [
    ['0', 0],
    ['0s', 0],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5s', 1_500],
    ['2h45m', 9_900_000],
    ['500ms', 500],
    ['500us', 1],
    ['1ns', 1],
    ['1100µs', 2],
    ['10', undefined],
    ['', undefined],
    ['s', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1d', undefined],
    ['1m30', undefined],
    ['9'.repeat(30).concat('h'), undefined],
  ]
  for (const [text, ms] of cases) t.equal(parseDurationMs(text), ms, `"${text}"`)
  t.end()
})

t.test('a duration written out part by part is the sum of its parts', (t) => {
  const part = fc.nat({ max: 10_000 })
  fc.assert(
    fc.property(
      part,
      part,
      part,
      part,
      (h, m, s, ms) => parseDurationMs(`${h}h${m}m${s}s${ms}ms`) === ((h * 60 + m) * 60 + s) * 1000 + ms,
    ),
  )
  t.end()
})

t.test('amounts of memory are powers of 1,024 in every spelling', (t) => {
  const cases: readonly (readonly [text: string, bytes: number | undefined])[] = [
    ['0', 0],
    ['512', 512],
    ['512b', 512],
    ['1k', 1_024],
    ['64M', 67_108_864],
    ['64mb', 67_108_864],
    ['64MiB', 67_108_864],
    ['1.5g', 1_610_612_736],
    ['2 GB', 2_147_483_648],
    ['1t', 1_099_511_627_776],
    ['', undefined],
    ['M', undefined],
    ['-1M', undefined],
    ['1bb', undefined],
    ['1ib', undefined],
    ['64 Mo', undefined],
    ['99999999999t', undefined],
  ]
  for (const [text, bytes] of cases) t.equal(parseMemoryBytes(text), bytes, `"${text}"`)
  t.end()
})

t.test('a near miss finds the word that was meant, and nonsense finds none', (t) => {
  const keys = ['command', 'environment', 'deploy', 'depends_on', 'replicas', 'cpus']
  t.equal(nearest('enviroment', keys), 'environment')
  t.equal(nearest('env', keys), 'environment')
  t.equal(nearest('comand', keys), 'command')
  t.equal(nearest('Command', keys), 'command')
  t.equal(nearest('delpoy', keys), 'deploy')
  t.equal(nearest('replica', keys), 'replicas')
  t.equal(nearest('cpu', keys), 'cpus')
  t.equal(nearest('colour', keys), undefined)
  t.equal(nearest('', keys), undefined)
  t.end()
})
