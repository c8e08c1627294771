import t from 'tap'
import type { EndpointRow } from '../../lib/api/endpoint-rows.js'
import type { AssignedTask } from '../../lib/api/session.js'
import type { NetworkRef } from '../../lib/model/network.js'
import type { DesiredState, TaskState } from '../../lib/model/task.js'
import { OwnEndpoints } from '../../lib/peer/own-endpoints.js'
import { aTask } from '../agent/fakes.js'

const a: NetworkRef = { id: 'a', name: 'a' }
const b: NetworkRef = { id: 'b', name: 'b' }

function world(address = '10.0.0.1:7946') {
  const told: string[] = []
  const rows: EndpointRow[] = []
  const own = new OwnEndpoints(address, {
    attach: ({ id }) => told.push(`attach ${id}`),
    detach: ({ id }) => told.push(`detach ${id}`),
    set: ({ id }, task, row) => {
      told.push(`set ${id} ${task} ${row.state}`)
      rows.push(row)
    },
    delete: ({ id }, task) => told.push(`delete ${id} ${task}`),
  })
  const saw = (
    id: string,
    state: TaskState,
    networks: readonly NetworkRef[],
    desired: DesiredState = 'running',
    env = {},
  ): void => {
    const task = aTask(id, desired)
    own.saw({ ...task, spec: { ...task.spec, networks, env } } satisfies AssignedTask, { id, state, message: '' })
  }
  /** What was told since the last time. */
  const news = (): string[] => told.splice(0)
  return { own, saw, news, rows }
}

t.test(
  'a node belongs to a network from the first task of it that is here to the end of the last, and has rows of those that run',
  async (t) => {
    const { saw, news } = world()
    saw('x', 'accepted', [a, b])
    t.same(news(), ['attach a', 'attach b'], 'given, and not running yet')
    saw('y', 'running', [a])
    saw('x', 'running', [a, b])
    t.same(news(), ['set a y ready', 'set a x ready', 'set b x ready'])
    saw('x', 'running', [a, b], 'shutdown')
    t.same(news(), ['set a x draining', 'set b x draining'])
    saw('x', 'shutdown', [a, b], 'shutdown')
    t.same(news(), ['delete a x', 'delete b x', 'detach b'])
    saw('y', 'failed', [a])
    t.same(news(), ['delete a y', 'detach a'])
  },
)

t.test('an end is told once, whatever comes after it; a task that is forgotten alive ends too', async (t) => {
  const { own, saw, news } = world()
  saw('x', 'running', [a])
  saw('x', 'complete', [a])
  news()
  saw('x', 'complete', [a], 'remove')
  own.gone('x')
  t.same(news(), [])
  saw('y', 'running', [a])
  own.gone('y')
  t.same(news(), ['attach a', 'set a y ready', 'delete a y', 'detach a'])
})

t.test('of a task that a restart found ended the network is said to be left, unless another task is on it', async (t) => {
  const { saw, news } = world()
  saw('x', 'failed', [a])
  t.same(news(), ['detach a'])
  saw('y', 'running', [b])
  news()
  saw('z', 'failed', [b])
  t.same(news(), [])
})

t.test('an endpoint has the host the node advertises, and the port its environment names in PORT', async (t) => {
  for (const [address, host] of [
    ['10.0.0.1:7946', '10.0.0.1'],
    ['[fd00::1]:7946', 'fd00::1'],
    ['node-7.example:7946', 'node-7.example'],
  ] as const) {
    const { saw, rows } = world(address)
    saw('x', 'running', [a])
    t.same(rows, [{ serviceName: 'web', host, ports: [], state: 'ready' }])
  }
  for (const [PORT, ports] of [
    ['8080', [8080]],
    ['65535', [65535]],
    ['0', []],
    ['65536', []],
    ['', []],
    ['http', []],
    ['80 ', []],
    ['-1', []],
    ['1e3', []],
  ] as const) {
    const { saw, rows } = world()
    saw('x', 'running', [a], 'running', { PORT })
    t.same(rows[0]?.ports, ports, JSON.stringify(PORT))
  }
})
