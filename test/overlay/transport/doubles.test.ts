import t from 'tap'
import { Doubles } from '../../../lib/overlay/transport/doubles.js'

/** A link whose other end answers probes, or not. */
function link(instance: string) {
  return {
    instance,
    heardMs: 0,
    probes: 0,
    probe() {
      this.probes++
    },
  }
}

t.test('the first link of a node, and another one of the same process, are always welcome', async (t) => {
  const doubles = new Doubles()
  t.equal(doubles.judge('n', 'a', undefined, 0), undefined)
  t.equal(doubles.judge('n', 'a', link('a'), 0), undefined)
})

t.test('who answers keeps its place, however often another one tries', async (t) => {
  const doubles = new Doubles()
  const older = link('a')
  t.match(doubles.judge('n', 'b', older, 100), { code: 'ERR_SKEIN_BUSY' })
  t.equal(older.probes, 1)
  for (const nowMs of [200, 5_000, 60_000]) {
    older.heardMs = nowMs - 50
    t.match(doubles.judge('n', 'b', older, nowMs), { code: 'ERR_SKEIN_ALREADY_EXISTS', detail: { kind: 'node', name: 'n' } })
  }
  t.equal(older.probes, 4, 'asked anew each time')
})

t.test('a link whose process died without a word gives way after a second', async (t) => {
  const doubles = new Doubles()
  const older = link('a')
  older.heardMs = 90
  t.match(doubles.judge('n', 'b', older, 100), { code: 'ERR_SKEIN_BUSY' }, 'what came before it was asked is no answer')
  t.match(doubles.judge('n', 'b', older, 1_099), { code: 'ERR_SKEIN_BUSY' })
  t.equal(doubles.judge('n', 'b', older, 1_100), undefined)
  t.equal(older.probes, 1)
})
