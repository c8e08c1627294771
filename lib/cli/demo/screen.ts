/** What the live demo shows, as plain lines that fit the terminal. Pure. */
import pc from 'picocolors'
import type { Node, Task } from '../../api/types.js'

/** One process of the demo at this moment. */
export interface Place {
  readonly name: string
  readonly role: 'manager' | 'worker'
  readonly life: { readonly state: 'starting' } | { readonly state: 'running'; readonly pid: number } | { readonly state: 'dead' }
}

/** One moment of the demo, as people see it. */
export interface Picture {
  /** undefined until the cluster is founded. */
  readonly status:
    | { readonly cluster: string; readonly term: number; readonly stale: boolean; readonly quorum: Quorum }
    | undefined
  readonly places: readonly Place[]
  readonly nodes: readonly Node[]
  readonly tasks: readonly Task[]
  readonly events: readonly { readonly atMs: number; readonly text: string }[]
  readonly nowMs: number
  /** Columns and rows of the terminal; no line is longer, and there are no more lines. */
  readonly width: number
  readonly height: number
}

interface Quorum {
  readonly voters: number
  readonly reachable: number
}

const keys = '[k] kill the leader  [w] kill a worker  [r] revive  [+] scale up  [-] scale down  [q] quit'
const keysShort = '[k] kill leader [w] kill worker [r] revive [+] up [-] down [q] quit'
const eventsMax = 8
const eventsLeast = 2

/** The two tables side by side, the last events and the keys; plain text, one string per line. */
export function drawPicture(picture: Picture): readonly string[] {
  const { width, height } = picture
  const nodes = nodeLines(picture)
  // Head, keys and three blank lines are always there; tasks give way first, but for the rows the nodes need anyway.
  const room = Math.max(0, height - 5)
  const tasks = clip(taskLines(picture), Math.max(nodes.length, room - eventsLeast))
  const left = Math.max(...nodes.map((line) => line.length)) + 4
  const both = Array.from({ length: Math.max(nodes.length, tasks.length) }, (_, at) =>
    `${(nodes[at] ?? '').padEnd(left)}${tasks[at] ?? ''}`.trimEnd(),
  )
  const shown = Math.min(eventsMax, Math.max(0, room - both.length))
  const events = picture.events
    .slice(picture.events.length - Math.min(shown, picture.events.length))
    .map(({ atMs, text }) => ` ${(atMs / 1_000).toFixed(1).padStart(5)}s  ${text}`)
  const foot = keys.length < width ? keys : keysShort
  const lines = [headline(picture), '', ...both, '', ...events, '', ` ${foot}`]
  return lines.slice(0, height).map((line) => line.slice(0, width))
}

/** Rewrites the screen in place; the state is in the words, colour only helps. */
export function paint(lines: readonly string[]): string {
  const coloured = lines.map((line, at) =>
    at === 0
      ? pc.bold(line)
      : line
          .replace('★ leader', pc.green('★ leader'))
          .replace(/\bdead\b/, pc.red('dead'))
          .replace(/\bpending\b/, pc.yellow('pending')),
  )
  return `\u001b[H${coloured.map((line) => `${line}\u001b[K`).join('\n')}\u001b[J`
}

function headline({ status, places }: Picture): string {
  const managers = places.filter(({ role }) => role === 'manager').length
  const cluster = status === undefined ? 'founding a cluster' : `cluster ${status.cluster.slice(0, 4)}…`
  const head = `skein demo · ${cluster} · ${managers} managers, ${places.length - managers} workers`
  if (status === undefined || !status.stale) return head
  return `${head} · no leader: ${status.quorum.reachable} of ${status.quorum.voters} managers`
}

function nodeLines({ places, nodes, status }: Picture): readonly string[] {
  const rows = places.map(({ name, role, life }) => {
    const node = nodes.find((each) => each.name === name)
    const raft = node === undefined || life.state !== 'running' ? '–' : node.leader ? `★ leader t${status?.term}` : node.raft
    return [name, life.state === 'running' ? String(life.pid) : life.state, role, raft ?? '–', String(node?.tasks ?? 0)]
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
  return rows.length === 0 ? [] : columns([['TASK', 'NODE', 'STATE', 'SINCE'], ...rows])
}

/** At most `most` lines; the last one then says how many are not shown. */
function clip(lines: readonly string[], most: number): readonly string[] {
  if (lines.length <= most) return lines
  return [...lines.slice(0, most - 1), `… and ${lines.length - most + 1} more`]
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
