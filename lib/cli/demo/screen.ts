import pc from 'picocolors'
import type { Node, Task } from '../../api/types.js'
import type { Machine } from './fleet.js'

/** One moment of the demo, as people see it. */
export interface Picture {
  readonly cluster: string
  readonly term: number
  readonly machines: readonly Machine[]
  readonly nodes: readonly Node[]
  readonly tasks: readonly Task[]
  readonly events: readonly { readonly atMs: number; readonly text: string }[]
  readonly nowMs: number
  readonly width: number
}

const keys = '[k] kill the leader  [w] kill a worker  [r] revive  [+] scale up  [-] scale down  [q] quit'

/** The two tables side by side, the last events and the keys; plain text, one string per line. */
export function drawPicture(picture: Picture): readonly string[] {
  const nodes = nodeLines(picture)
  const tasks = taskLines(picture)
  const left = Math.max(...nodes.map((line) => line.length)) + 4
  const both = Array.from({ length: Math.max(nodes.length, tasks.length) }, (_, at) =>
    `${(nodes[at] ?? '').padEnd(left)}${tasks[at] ?? ''}`.trimEnd(),
  )
  const managers = picture.machines.filter(({ role }) => role === 'manager').length
  const head = `skein demo · cluster ${picture.cluster.slice(0, 4)}… · ${managers} managers, ${picture.machines.length - managers} workers`
  const events = picture.events.slice(-8).map(({ atMs, text }) => ` ${(atMs / 1_000).toFixed(1).padStart(5)}s  ${text}`)
  return [head, '', ...both, '', ...events, '', ` ${keys}`].map((line) => line.slice(0, picture.width))
}

/** Rewrites the screen in place; the state is in the words, colour only helps. */
export function paint(lines: readonly string[]): string {
  const coloured = lines.map((line, at) =>
    at === 0 ? pc.bold(line) : line.replace('★ leader', pc.green('★ leader')).replace(/\bdead\b/, pc.red('dead')),
  )
  return `\u001b[H${coloured.map((line) => `${line}\u001b[K`).join('\n')}\u001b[J`
}

function nodeLines({ machines, nodes, term }: Picture): readonly string[] {
  const rows = machines.map((machine) => {
    const node = nodes.find(({ name }) => name === machine.name)
    const dead = machine.process === undefined || machine.process.exitCode !== null || machine.process.signalCode !== null
    const raft = node === undefined || dead ? '–' : node.leader ? `★ leader t${term}` : (node.raft ?? '–')
    return [machine.name, dead ? 'dead' : String(machine.process?.pid), machine.role, raft, String(node?.tasks ?? 0)]
  })
  return columns([['NODE', 'PID', 'ROLE', 'RAFT', 'TASKS'], ...rows])
}

function taskLines({ tasks, nowMs }: Picture): readonly string[] {
  const newest = tasks.filter((task) => !tasks.some((other) => other.name === task.name && other.generation > task.generation))
  const rows = newest
    .filter(({ desired }) => desired !== 'remove')
    .map((task) => [
      task.name,
      task.nodeName ?? '–',
      task.observed,
      `${Math.max(0, Math.round((nowMs - task.updatedAt.getTime()) / 1_000))}s`,
    ])
  return columns([['TASK', 'NODE', 'STATE', 'SINCE'], ...rows])
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 2))
      .join('')
      .trimEnd(),
  )
}
