import t from 'tap'
import type { TaskWitness } from '../../lib/agent/index.js'
import { deferred } from '../../lib/base/deferred.js'
import { bench } from './bench.js'
import { aTask, complete, incremental, settle } from './fakes.js'

/** Writes down what it is told: the wish where it is not `running`, and the state. */
function listener(): { readonly witness: TaskWitness; news(): string[] } {
  const told: string[] = []
  return {
    witness: {
      saw: ({ id, desired }, { state }) => told.push(desired === 'running' ? `${id} ${state}` : `${id} ${state}, to ${desired}`),
      gone: (id) => told.push(`${id} gone`),
    },
    news: () => told.splice(0),
  }
}

t.test(
  'a witness is told of every state of a task, of the wish to stop before it stops, and of its being forgotten',
  async (t) => {
    const { witness, news } = listener()
    const { agent, manager, driver } = bench(t, { witness })
    manager.first = complete([aTask('web.1.1')])
    await agent.start()
    await manager.until(() => manager.stateOf('web.1.1') === 'running')
    const states = ['assigned', 'accepted', 'preparing', 'ready', 'starting', 'running']
    t.same(
      news(),
      states.map((state) => `web.1.1 ${state}`),
    )
    const gate = deferred()
    driver.stopGate = gate
    manager.push(incremental(1, { set: [aTask('web.1.1', 'shutdown')] }))
    await settle()
    t.same(driver.unit('web.1.1').calls, ['start', 'stop'])
    t.same(news(), ['web.1.1 running, to shutdown'], 'while it still runs')
    gate.resolve()
    await manager.until(() => manager.stateOf('web.1.1') === 'shutdown')
    manager.push(incremental(2, { remove: ['web.1.1'], set: [aTask('web.1.2')] }))
    await manager.until(() => manager.stateOf('web.1.2') === 'running')
    await settle()
    t.same(
      news().filter((line) => line.endsWith('gone')),
      ['web.1.1 gone'],
    )
    await agent.stop()
    t.same(news(), ['web.1.2 running, to remove', 'web.1.2 failed'], 'a peer that stops drains first')
  },
)

t.test('after a restart a witness is told of what became of the tasks of before', async (t) => {
  const first = bench(t)
  first.manager.first = complete([aTask('web.1.1')])
  await first.agent.start()
  await first.manager.until(() => first.manager.stateOf('web.1.1') === 'running')
  await first.agent.stop({ drain: 'leave-tasks' })
  const { witness, news } = listener()
  const again = first.again(undefined, { witness })
  await again.start()
  t.same(news(), ['web.1.1 failed'])
})
