import t from 'tap'
import { seededRandom } from '../../lib/base/random.js'
import { inlineDriver } from '../../lib/drivers/index.js'
import { type PeerOptions, resolvePeerOptions } from '../../lib/peer/options.js'

const resolve = (options: unknown) => resolvePeerOptions(options as PeerOptions, 'my host', seededRandom(1))

t.test('nothing given: every default, and a name from the host', async (t) => {
  const { name, drivers, ...rest } = resolve({})
  t.match(name, /^my-host-[0-9a-z]{4}$/)
  t.same(
    drivers.map((driver) => driver.name),
    ['process', 'inline'],
  )
  t.match(rest, { tickMs: 100, electionTicks: 10, availability: 'active', labels: {}, dir: undefined, join: undefined })
})

const refused: readonly [string, string, unknown][] = [
  ['an unknown option', 'nmae', { nmae: 'x' }],
  ['an empty directory', 'dir', { dir: '' }],
  ['a join that is neither text nor function', 'join', { join: 7 }],
  ['a listen address without a port', 'listen', { listen: 'localhost' }],
  ['an IPv6 address without brackets', 'advertise', { advertise: '::1:80' }],
  ['a name with a blank', 'name', { name: 'a b' }],
  ['a label that is no text', 'labels.a', { labels: { a: 1 } }],
  ['an availability nobody knows', 'availability', { availability: 'busy' }],
  ['a driver that is none', 'drivers.0', { drivers: [{}] }],
  ['two drivers of one name', 'drivers', { drivers: [inlineDriver({ functions: {} }), inlineDriver({ functions: {} })] }],
  ['a logger without warn', 'logger', { logger: { debug() {}, info() {}, error() {} } }],
  ['a tick too short', 'timing.tickMs', { timing: { tickMs: 9 } }],
  ['a tick that is no integer', 'timing.tickMs', { timing: { tickMs: 20.5 } }],
  ['no manager that votes', 'managers', { managers: 0 }],
  ['too few election ticks', 'timing.electionTicks', { timing: { electionTicks: 2 } }],
]
for (const [what, option, options] of refused) {
  t.test(`${what} is refused as ${option}`, async (t) => {
    t.throws(() => resolve(options), { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option } })
  })
}
