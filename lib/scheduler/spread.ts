/**
 * Spreads a group: water-filling that gives every node exactly what picking the best node one task at a time would,
 * in O(nodes · log(tasks)) instead of O(nodes · tasks). Preferences make a tree of label values that is filled alike, level by level.
 */
import type { NodeTable } from './node-table.js'
import { type Candidates, firstInLine } from './rank.js'

/**
 * How many of `count` tasks each candidate gets when each task goes to the candidate with room that is least by
 * (level, tie, position), and raises its level and tie by one. Hands out min(count, sum of room).
 */
export function waterFill(candidates: Candidates, count: number): Int32Array {
  const { level, room } = candidates
  const given = new Int32Array(level.length)
  const line = waterLine(candidates, count)
  let left = count
  for (let position = 0; position < given.length; position++) {
    given[position] = Math.min(room[position]!, Math.max(0, line - level[position]!))
    left -= given[position]!
  }
  if (left === 0) return given
  // What does not raise everyone at the line by one goes to the first of them.
  const atLine: number[] = []
  for (let position = 0; position < given.length; position++) {
    if (level[position]! + given[position]! === line && given[position]! < room[position]!) atLine.push(position)
  }
  for (const position of firstInLine(atLine, candidates, given, left)) given[position]! += 1
  return given
}

/** The highest level to which all can be raised, each within its room, with no more than `count`. */
function waterLine({ level, room }: Candidates, count: number): number {
  let low = Number.POSITIVE_INFINITY
  let high = 0
  for (let position = 0; position < level.length; position++) {
    if (room[position]! <= 0) continue
    low = Math.min(low, level[position]!)
    high = Math.max(high, level[position]! + room[position]!)
  }
  if (low === Number.POSITIVE_INFINITY) return 0
  while (low < high) {
    const middle = low + Math.ceil((high - low) / 2)
    if (needed({ level, room }, middle) <= count) low = middle
    else high = middle - 1
  }
  return low
}

function needed({ level, room }: Pick<Candidates, 'level' | 'room'>, line: number): number {
  let sum = 0
  for (let position = 0; position < level.length; position++)
    sum += Math.min(room[position]!, Math.max(0, line - level[position]!))
  return sum
}

/**
 * Fills `table.given` for `count` tasks, from `table.room`, `ofService`, `total` and `penalty`.
 * @param preferences Per spread preference the column of value ranks, outermost first.
 */
export function spread(table: NodeTable, preferences: readonly Int32Array[], count: number): void {
  table.given.fill(0)
  fillBranch(table, table.rows, preferences, count)
}

function fillBranch(table: NodeTable, rows: Int32Array, [values, ...deeper]: readonly Int32Array[], count: number): void {
  if (values === undefined) {
    fillLeaf(table, rows, count)
    return
  }
  const branches = branchesOf(rows, values)
  // Rows without room count too: what already runs in a branch runs there, eligible or not (as Swarm counts).
  const level = Int32Array.from(branches, (branch) => sumOver(branch, table.ofService))
  const room = Int32Array.from(branches, (branch) => Math.min(count, sumOver(branch, table.room)))
  // Among branches at the water line the first value goes first: with the level as tie they are all equal there.
  const given = waterFill({ level, room, tie: level }, count)
  for (const [index, branch] of branches.entries()) {
    if (given[index]! > 0) fillBranch(table, branch, deeper, given[index]!)
  }
}

/** Rows by value, values in their order. */
function branchesOf(rows: Int32Array, values: Int32Array): Int32Array[] {
  const branches = new Map<number, number[]>()
  for (const row of rows) {
    const branch = branches.get(values[row]!)
    if (branch === undefined) branches.set(values[row]!, [row])
    else branch.push(row)
  }
  return [...branches].sort(([a], [b]) => a - b).map(([, branch]) => Int32Array.from(branch))
}

function sumOver(rows: Int32Array, column: Int32Array): number {
  let sum = 0
  for (const row of rows) sum += column[row]!
  return sum
}

/** Nodes where the group keeps failing get tasks only when the others are full. */
function fillLeaf(table: NodeTable, rows: Int32Array, count: number): void {
  let left = count
  for (const open of byPenalty(table, rows)) {
    if (left === 0) return
    const shares = waterFill(
      { level: pick(table.ofService, open), room: pick(table.room, open), tie: pick(table.total, open) },
      left,
    )
    for (let position = 0; position < open.length; position++) {
      table.given[open[position]!] = shares[position]!
      left -= shares[position]!
    }
  }
}

/** Rows with room, least penalty first; nearly always one list. */
function byPenalty({ room, penalty }: NodeTable, rows: Int32Array): (readonly number[])[] {
  const unpunished: number[] = []
  const punished = new Map<number, number[]>()
  for (let position = 0; position < rows.length; position++) {
    const row = rows[position]!
    if (room[row]! <= 0) continue
    const list = penalty[row] === 0 ? unpunished : (punished.get(penalty[row]!) ?? [])
    list.push(row)
    if (penalty[row] !== 0) punished.set(penalty[row]!, list)
  }
  return [unpunished, ...[...punished].sort(([a], [b]) => a - b).map(([, list]) => list)]
}

function pick(column: Int32Array, rows: readonly number[]): Int32Array {
  const picked = new Int32Array(rows.length)
  for (let position = 0; position < rows.length; position++) picked[position] = column[rows[position]!]!
  return picked
}
