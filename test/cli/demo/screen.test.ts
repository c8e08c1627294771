import t from 'tap'
import type { Node, Task } from '../../../lib/api/types.js'
import { drawPicture, type Picture, type Place } from '../../../lib/cli/demo/screen.js'

const nowMs = 100_000

function place(name: string, life: Place['life'] = { state: 'running', pid: 12345 }): Place {
  return { name, role: name.startsWith('m') ? 'manager' : 'worker', life }
}

/** Only what the picture reads; the rest of a node and a task has no place on the screen. */
function node(name: string, leader = false): Node {
  return { name, leader, raft: leader ? 'leader' : 'voter', tasks: 1 } as Node
}

function task(slot: number, more: Partial<Task> = {}): Task {
  const name = `demo_web.${slot}`
  return {
    name,
    generation: 1,
    nodeName: 'm1',
    observed: 'running',
    desired: 'running',
    updatedAt: new Date(nowMs - 4_000),
    ...more,
  } as Task
}

function picture(more: Partial<Picture> = {}): Picture {
  return {
    status: { cluster: 'abcdefghijkl', term: 7, stale: false, quorum: { voters: 3, reachable: 3 } },
    places: ['m1', 'm2', 'm3', 'w1', 'w2'].map((name) => place(name)),
    nodes: [node('m1', true), node('m2')],
    tasks: Array.from({ length: 5 }, (_, at) => task(at + 1)),
    events: Array.from({ length: 20 }, (_, at) => ({ atMs: at * 1_000, text: `event ${at}` })),
    nowMs,
    width: 100,
    height: 30,
    ...more,
  }
}

t.test('nodes and tasks stand side by side, above the last events and the keys', async (t) => {
  const lines = drawPicture(picture())
  t.equal(lines[0], 'skein demo · cluster abcd… · 3 managers, 2 workers')
  t.match(lines[2], /^NODE +PID +ROLE +RAFT +TASKS +TASK +NODE +STATE +SINCE$/)
  t.match(lines[3], /^m1 +12345 +manager +★ leader t7 +1 +demo_web\.1 +m1 +running +4s$/)
  t.match(lines.at(-3), /19\.0s {2}event 19$/)
  t.match(lines.at(-1), /\[k\] kill the leader .*\[q\] quit$/)
})

t.test('whatever happens, no line is wider than the terminal and no more lines than it has rows', async (t) => {
  for (const width of [20, 60, 80, 100, 200]) {
    for (const height of [3, 10, 16, 24, 50]) {
      for (const replicas of [0, 5, 12, 80]) {
        const tasks = Array.from({ length: replicas }, (_, at) => task(at + 1))
        const lines = drawPicture(picture({ width, height, tasks }))
        const widest = Math.max(...lines.map((line) => line.length))
        if (widest > width || lines.length > height) t.fail(`${replicas} tasks at ${width}×${height}: ${widest}×${lines.length}`)
      }
    }
  }
  t.match(drawPicture(picture({ width: 80 })).at(-1), /\[q\] quit$/, 'the last key is there at 80 columns')
})

t.test('tasks for which there is no room are counted, and the last events stay', async (t) => {
  const tasks = Array.from({ length: 40 }, (_, at) => task(at + 1))
  const lines = drawPicture(picture({ tasks, height: 24 }))
  t.equal(lines.length, 24)
  t.ok(
    lines.some((line) => line.trim() === '… and 25 more'),
    lines.join('\n'),
  )
  t.match(lines.at(-3), /event 19$/)
})

t.test('who is not there yet is starting, who was killed is dead, and neither has a role in raft', async (t) => {
  const places = [place('m1', { state: 'dead' }), place('m2', { state: 'starting' })]
  const lines = drawPicture(picture({ places, tasks: [], status: undefined }))
  t.equal(lines[0], 'skein demo · founding a cluster · 2 managers, 0 workers')
  t.match(lines[3], /^m1 +dead +manager +– +1$/)
  t.match(lines[4], /^m2 +starting +manager +– +1$/)
})

t.test('a slot shows its newest task alone, and no task that is to be removed', async (t) => {
  const tasks = [task(1, { observed: 'failed' }), task(1, { generation: 2, nodeName: 'w2' }), task(2, { desired: 'remove' })]
  const lines = drawPicture(picture({ tasks })).filter((line) => line.includes('demo_web.'))
  t.equal(lines.length, 1)
  t.match(lines[0], /demo_web\.1 +w2 +running/)
})

t.test('a cluster that lost its quorum says so in the head', async (t) => {
  const status = { cluster: 'abcdefghijkl', term: 7, stale: true, quorum: { voters: 3, reachable: 1 } }
  t.match(drawPicture(picture({ status }))[0], /no leader: 1 of 3 managers$/)
})
