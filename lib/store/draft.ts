/** The writes of one command: remembers what each row was, so that all happen or none, and one change is told per object. Pure. */
import type { Change } from './changes.js'
import type { Row, RowRef } from './rows.js'
import type { Tables } from './tables.js'

export class Draft {
  readonly tables: Tables
  /** Raft index of the command. */
  readonly version: number
  /** Leader's wall clock when it was proposed. */
  readonly atMs: number
  readonly #was = new Map<string, Row>()

  constructor(tables: Tables, version: number, atMs: number) {
    this.tables = tables
    this.version = version
    this.atMs = atMs
  }

  write(row: Row): void {
    const name = `${row.kind}:${row.key}`
    if (!this.#was.has(name)) this.#was.set(name, this.tables.read(row))
    this.tables.write(row)
  }

  /** Newest first, so that a name given on passes back the way it came. */
  undo(): void {
    for (const row of [...this.#was.values()].reverse()) this.tables.write(row)
    this.#was.clear()
  }

  /** Rows written, in order of first touch. */
  rows(): readonly RowRef[] {
    return Array.from(this.#was.values(), ({ kind, key }) => ({ kind, key }))
  }

  /** What watchers are told, in order of first touch; a row that ended as it began is no change. */
  changes(): readonly Change[] {
    const changes: Change[] = []
    for (const was of this.#was.values()) {
      const change = changeOf(was, this.tables.read(was), this.version)
      if (change !== undefined) changes.push(change)
    }
    return changes
  }
}

function changeOf({ kind, record: was }: Row, { record: object }: Row, version: number): Change | undefined {
  if (was === object) return undefined
  switch (kind) {
    case 'cluster':
    case 'node':
    case 'service':
    case 'task':
    case 'network':
    case 'kv':
      // Both records come from the table of this kind; the union cannot say so.
      if (object !== undefined) return { type: 'set', kind, version, object, was } as Change
      return { type: 'removed', kind, version, was } as Change
    default:
      return undefined
  }
}
