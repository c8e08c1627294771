import t from 'tap'
import type { RestartPolicy } from '../../lib/model/service.js'
import type { Task, TaskState } from '../../lib/model/task.js'
import { exhausted, isExhausted, slotEnd } from '../../lib/orchestrator/index.js'
import { BenchCluster } from './bench-cluster.js'

function running(
  restart: RestartPolicy = {},
  options: { readonly taskHistory?: number } = {},
): { cluster: BenchCluster; web: string } {
  const cluster = new BenchCluster(options)
  cluster.nodes(2)
  const web = cluster.service('web', { restart })
  cluster.settle()
  return { cluster, web }
}

const newest = (cluster: BenchCluster, web: string): Task => cluster.inSlot(web, 1).at(-1) as Task

/** Ends the slot's task, lets the delay pass, and lets the nodes carry on. */
function endAndRestart(cluster: BenchCluster, web: string, state: TaskState, afterMs = 10_000): void {
  cluster.observe(newest(cluster, web), state)
  cluster.plan()
  cluster.nowMs += afterMs
  cluster.settle()
}

const restarts: readonly (readonly [RestartPolicy['when'], TaskState, 'again' | 'finished' | 'exhausted'])[] = [
  ['any', 'complete', 'again'],
  ['any', 'failed', 'again'],
  ['any', 'rejected', 'again'],
  ['any', 'shutdown', 'again'],
  ['on-failure', 'complete', 'finished'],
  ['on-failure', 'failed', 'again'],
  ['on-failure', 'rejected', 'again'],
  ['none', 'complete', 'finished'],
  ['none', 'failed', 'exhausted'],
  ['none', 'rejected', 'exhausted'],
]
for (const [when, state, expected] of restarts) {
  t.test(`restart '${when}' after ${state}: ${expected}`, async (t) => {
    const { cluster, web } = running({ when: when as 'any' })
    const task = newest(cluster, web)
    endAndRestart(cluster, web, state)
    if (expected === 'again') {
      t.same(cluster.picture(web), [`1.1 shutdown ${state}`, '1.2 running running'])
      t.equal(slotEnd(cluster.tables, web, 1), undefined)
    } else {
      t.same(cluster.picture(web), [`1.1 shutdown ${state}`])
      t.match(slotEnd(cluster.tables, web, 1), { kind: expected, task: { handle: task.handle } })
      t.equal(isExhausted(cluster.tables, newest(cluster, web)), expected === 'exhausted')
    }
  })
}

t.test('a replacement prepares during the delay and runs when it is over, also under another leader', async (t) => {
  const { cluster, web } = running({ delayMs: 3_000 })
  const failedMs = cluster.nowMs
  cluster.observe(newest(cluster, web), 'failed', 'exit code 1')
  cluster.nowMs += 500
  cluster.plan()
  cluster.obey()
  t.same(cluster.picture(web), ['1.1 shutdown failed', '1.2 ready ready'])
  t.equal(newest(cluster, web).startAfterMs, failedMs + 3_000, 'the delay runs from the failure')
  t.equal(cluster.inSlot(web, 1)[0]?.message, 'exit code 1', 'the reason stays to be read')
  t.equal(cluster.wakeAtMs(), failedMs + 3_000)
  cluster.nowMs = failedMs + 2_999
  t.same(cluster.pass(), [])
  cluster.nowMs = failedMs + 3_000
  t.match(cluster.pass(), [{ op: 'tasks.desire', desired: 'running' }])
  t.equal(cluster.wakeAtMs(), undefined)
})

t.test('what is refused while it waits for its delay is not tried again before the delay is over', async (t) => {
  const { cluster, web } = running({ delayMs: 3_000 })
  const rejected = (): void => {
    cluster.observe(newest(cluster, web), 'rejected', 'no such command')
    cluster.plan()
  }
  const firstMs = cluster.nowMs
  rejected()
  t.same(cluster.picture(web), ['1.1 shutdown rejected', '1.2 ready assigned'])
  cluster.nowMs += 100
  rejected()
  t.same(cluster.picture(web), ['1.1 shutdown rejected', '1.2 shutdown rejected'], 'no third before its time')
  t.equal(cluster.wakeAtMs(), firstMs + 3_000)
  const attemptsMax = 2 + 2 * 20
  for (const endMs = firstMs + 60_000; cluster.nowMs < endMs; cluster.nowMs += 100) rejected()
  t.ok(newest(cluster, web).generation <= attemptsMax, `${newest(cluster, web).generation} attempts in 20 delays`)
  t.ok(newest(cluster, web).generation >= 20, 'and it goes on trying')
})

t.test('a delay that passed while nobody led costs no further time', async (t) => {
  const { cluster, web } = running({ delayMs: 3_000 })
  cluster.observe(newest(cluster, web), 'failed')
  cluster.nowMs += 60_000
  t.match(cluster.planServices(), [
    { op: 'tasks.desire', desired: 'shutdown' },
    { op: 'tasks.create', desired: 'running' },
  ])
})

t.test('attempts are counted from the retained tasks, and the end is clear', async (t) => {
  const { cluster, web } = running({ attemptsMax: 2 })
  for (let attempt = 1; attempt <= 2; attempt++) {
    endAndRestart(cluster, web, 'failed')
    t.equal(newest(cluster, web).observed, 'running', `restart ${attempt}`)
    t.equal(exhausted(cluster.tables, web, 1), undefined)
  }
  endAndRestart(cluster, web, 'failed')
  t.same(cluster.picture(web), ['1.1 shutdown failed', '1.2 shutdown failed', '1.3 shutdown failed'])
  t.match(slotEnd(cluster.tables, web, 1), { kind: 'exhausted', why: '2 of 2 restarts used up' })
  t.equal(exhausted(cluster.tables, web, 1)?.generation, 3)
  t.same(
    cluster.tasks(web).map((task) => isExhausted(cluster.tables, task)),
    [false, false, true],
  )
  t.equal(cluster.wakeAtMs(), undefined, 'nothing more to wait for')
})

t.test('attempts are counted although the history is shorter', async (t) => {
  const { cluster, web } = running({ attemptsMax: 7 }, { taskHistory: 1 })
  for (let attempt = 1; attempt <= 7; attempt++) {
    endAndRestart(cluster, web, 'failed')
    t.equal(newest(cluster, web).observed, 'running', `restart ${attempt}`)
  }
  endAndRestart(cluster, web, 'failed')
  t.equal(exhausted(cluster.tables, web, 1)?.generation, 8)
})

t.test('with a window only recent attempts count', async (t) => {
  const { cluster, web } = running({ attemptsMax: 1, windowMs: 60_000, delayMs: 0 })
  endAndRestart(cluster, web, 'failed', 61_000)
  endAndRestart(cluster, web, 'failed', 1_000)
  t.equal(newest(cluster, web).observed, 'running', 'the first failure was out of the window')
  endAndRestart(cluster, web, 'failed', 1_000)
  t.equal(exhausted(cluster.tables, web, 1)?.generation, 3)
  cluster.nowMs += 3_600_000
  t.same(cluster.pass(), [], 'and time alone does not revive it')
})

t.test('losing nodes is no crash loop: neither delay nor attempt', async (t) => {
  const { cluster, web } = running({ attemptsMax: 1, delayMs: 60_000 })
  for (let loss = 1; loss <= 3; loss++) {
    const node = newest(cluster, web).node as string
    cluster.nodeState(node, 'down')
    cluster.settle()
    t.match(newest(cluster, web), { generation: loss + 1, observed: 'running' })
    cluster.nodeState(node, 'ready')
    cluster.settle()
  }
  endAndRestart(cluster, web, 'failed', 60_000)
  t.equal(newest(cluster, web).observed, 'running', 'the one restart is still there')
})

t.test('a failure told only after the task was replaced is no attempt', async (t) => {
  const { cluster, web } = running({ attemptsMax: 1, delayMs: 0 })
  const lost = newest(cluster, web)
  cluster.nodeState(lost.node as string, 'down')
  cluster.settle()
  cluster.nowMs += 1_000
  cluster.observe(lost, 'failed', 'was gone when the node came back')
  endAndRestart(cluster, web, 'failed')
  t.match(newest(cluster, web), { generation: 3, observed: 'running' })
})

t.test("a failed task's replacement that loses its node while it waits keeps the delay", async (t) => {
  const { cluster, web } = running({ delayMs: 30_000 })
  cluster.observe(newest(cluster, web), 'failed')
  cluster.plan()
  const { startAfterMs, node } = newest(cluster, web)
  cluster.nowMs += 1_000
  cluster.nodeState(node as string, 'down')
  cluster.plan()
  t.match(newest(cluster, web), { generation: 3, desired: 'ready', startAfterMs })
})

t.test("restart 'none' does not move a task whose node is lost", async (t) => {
  const { cluster, web } = running({ when: 'none' })
  cluster.nodeState(newest(cluster, web).node as string, 'down')
  cluster.settle()
  t.same(cluster.picture(web), ['1.1 shutdown running'])
  t.match(slotEnd(cluster.tables, web, 1), { kind: 'exhausted' })
})

t.test('a rejected task follows the policy with its delay, its reason kept', async (t) => {
  const { cluster, web } = running({ delayMs: 5_000 })
  cluster.observe(newest(cluster, web), 'rejected', 'no such command: nosuch')
  cluster.plan()
  t.match(newest(cluster, web), { desired: 'ready', startAfterMs: cluster.nowMs + 5_000 })
  t.equal(cluster.inSlot(web, 1)[0]?.message, 'no such command: nosuch')
})

t.test('a replacement rejected while it prepares is an attempt like any other', async (t) => {
  const { cluster, web } = running({ attemptsMax: 1, delayMs: 5_000 })
  cluster.observe(newest(cluster, web), 'failed')
  cluster.plan()
  cluster.observe(newest(cluster, web), 'rejected', 'no such command')
  cluster.plan()
  t.match(exhausted(cluster.tables, web, 1), { generation: 2, message: 'no such command' })
})

t.test('a predecessor that does not stop is waited for a minute, or its stop grace if that is longer', async (t) => {
  for (const [stopGraceMs, waitMs] of [
    [10_000, 60_000],
    [120_000, 125_000],
  ] as const) {
    const cluster = new BenchCluster()
    const [first] = cluster.nodes(2) as [string]
    const web = cluster.service('web', { task: { command: ['x'], stopGraceMs } })
    cluster.settle()
    cluster.apply({ op: 'node.update', id: first, availability: 'drain' })
    cluster.plan()
    const startMs = cluster.nowMs
    t.equal(cluster.wakeAtMs(), startMs + waitMs)
    cluster.nowMs = startMs + waitMs - 1
    t.same(cluster.pass(), [])
    cluster.nowMs++
    cluster.plan()
    t.same(cluster.picture(web), ['1.1 shutdown running', '1.2 running assigned'])
  }
})

t.test('an exhausted slot is tried again when the spec changes', async (t) => {
  const { cluster, web } = running({ attemptsMax: 1 })
  endAndRestart(cluster, web, 'failed')
  endAndRestart(cluster, web, 'failed')
  t.ok(exhausted(cluster.tables, web, 1))
  cluster.update(web, { restart: { attemptsMax: 1 }, task: { command: ['fixed'] } })
  cluster.settle()
  t.match(newest(cluster, web), { observed: 'running', specVersion: 2 })
  endAndRestart(cluster, web, 'failed')
  t.equal(newest(cluster, web).observed, 'running', 'with attempts of its own')
})

t.test('a finished slot runs again for another program, not for another placement', async (t) => {
  const { cluster, web } = running({ when: 'on-failure' })
  endAndRestart(cluster, web, 'complete')
  cluster.update(web, { restart: { when: 'on-failure', delayMs: 1 }, placement: { constraints: ['node.role == worker'] } })
  t.same(cluster.pass(), [])
  cluster.update(web, { restart: { when: 'on-failure' }, task: { command: ['other'] } })
  cluster.settle()
  t.equal(newest(cluster, web).observed, 'running')
})
