import t from 'tap'
import type { Endpoint } from '../../lib/api/types.js'
import { fakeNode, fakeService } from './fake-cluster.js'
import { fakeWorld, run } from './fake-world.js'

const endpoint = (slot: number, more: Partial<Endpoint>): Endpoint => ({
  task: `id-web.${slot}.1`,
  name: `web.${slot}`,
  service: 'id-web',
  serviceName: 'web',
  slot,
  node: 'id-m1',
  networks: ['default'],
  host: '10.0.0.1',
  ports: [8080],
  state: 'ready',
  eligible: true,
  ...more,
})

function world() {
  const made = fakeWorld()
  made.state.services = [fakeService('web')]
  made.state.nodes = [fakeNode('m1')]
  made.state.endpoints = [
    endpoint(1, {}),
    endpoint(2, { node: 'gone', host: '::1', networks: ['back', 'front'], eligible: false }),
    endpoint(3, { ports: [], state: 'draining', eligible: false }),
  ]
  return made
}

t.test('service endpoints says where tasks answer, which are to stop, and whose node is away', async (t) => {
  const shown = world()
  t.equal(await run(shown, 'service endpoints web'), 0, shown.err())
  const lines = shown.out().trimEnd().split('\n')
  t.match(lines[0], /^NAME +NODE +ADDRESS +NETWORKS +STATE$/)
  t.match(lines[1], /^web\.1 +m1 +10\.0\.0\.1:8080 +default +✔ ready$/)
  t.match(lines[2], /^web\.2 +gone +\[::1\]:8080 +back front +○ away$/)
  t.match(lines[3], /^web\.3 +m1 +10\.0\.0\.1 +default +○ draining$/)
  const json = world()
  t.equal(await run(json, 'service endpoints web --format json'), 0)
  t.match(JSON.parse(json.out()), { items: [{ task: 'id-web.1.1', eligible: true }, { host: '::1' }, { state: 'draining' }] })
})

t.test('endpoints of a service that is not there are no empty list', async (t) => {
  const nobody = world()
  t.equal(await run(nobody, 'service endpoints nobody'), 1)
  t.match(nobody.err(), /ERR_SKEIN_NOT_FOUND/)
})
