import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { type ConfState, type Entry, entrySizeBytes, isConfChange, type Message } from '../core/index.js'
import type { StateMachine } from './state-machine.js'
import { type Summary, Tally } from './summary.js'

export interface ApplierHooks {
  /** A command was applied, and the machine answered. */
  command(entry: Entry, result: unknown): void
  /** An entry without data: the first of a term, or a conf change that was refused. */
  empty(entry: Entry): void
  /** A configuration change is due; the configuration in force after it. */
  conf(entry: Entry): ConfState
  /** To be delivered: everything before is applied. */
  respond(responses: readonly Message[]): void
}

/** Committed entries to the state machine: in order, each once, in slices so that heartbeats get their turn. */
export class Applier {
  readonly #machine: StateMachine
  readonly #clock: Clock
  readonly #hooks: ApplierHooks
  readonly #queue: Message[] = []
  /** Entries of the queue's head that are done. */
  #done = 0
  /** The machine reflects everything up to here already: it found it on its own disk. */
  #machineIndex: number
  /** A snapshot at this index is on its way in. All that is queued comes before it: it waits, and then only passes through. */
  #restoringTo = 0
  #appliedIndex: number
  #appliedTerm: number
  #conf: ConfState
  #notifiedIndex: number
  /** Bytes of all entries applied in this life. */
  appliedBytes = 0
  appliedEntries = 0
  readonly #applySeconds = new Tally()

  constructor(
    machine: StateMachine,
    clock: Clock,
    start: { readonly index: number; readonly term: number; readonly conf: ConfState },
    hooks: ApplierHooks,
  ) {
    this.#machine = machine
    this.#clock = clock
    this.#hooks = hooks
    this.#machineIndex = machine.appliedIndex
    this.#appliedIndex = start.index
    this.#appliedTerm = start.term
    this.#conf = start.conf
    this.#notifiedIndex = start.index
  }

  get appliedIndex(): number {
    return this.#appliedIndex
  }

  get appliedTerm(): number {
    return this.#appliedTerm
  }

  /** The configuration in force after the last applied entry. */
  get conf(): ConfState {
    return this.#conf
  }

  /** False while the machine is ahead of the log, or about to be replaced: its state is not that of `appliedIndex` then. */
  get canSnapshot(): boolean {
    return this.#appliedIndex >= this.#machineIndex && this.#restoringTo <= this.#appliedIndex
  }

  /** Of each slice that applied something. */
  get applySeconds(): Summary {
    return this.#applySeconds.summary
  }

  push(message: Message): void {
    this.#queue.push(message)
  }

  /** Applies until `untilMs` on the clock; true if there is more. */
  run(untilMs: number): boolean {
    if (this.#restoringTo > this.#appliedIndex || this.#queue.length === 0) return false
    const beganAtMs = this.#clock.now()
    const hasMore = this.#runSlice(untilMs)
    this.#applySeconds.add((this.#clock.now() - beganAtMs) / 1_000)
    return hasMore
  }

  #runSlice(untilMs: number): boolean {
    for (let count = 0; this.#queue.length > 0; ) {
      const head = this.#queue[0] as Message
      while (this.#done < head.entries.length) {
        if (count++ % 16 === 15 && this.#clock.now() >= untilMs) {
          this.#notify()
          return true
        }
        this.#apply(head.entries[this.#done++] as Entry)
      }
      this.#queue.shift()
      this.#done = 0
      this.#notify()
      this.#hooks.respond(head.responses)
    }
    return false
  }

  /** The core has taken a snapshot into its log; the machine gets it as soon as it is durable, and nothing before. */
  restoring(index: number): void {
    this.#restoringTo = index
  }

  /** The machine was replaced by the state at this index. */
  restored(index: number, term: number, conf: ConfState): void {
    assert(index > this.#appliedIndex, 'a snapshot is installed only over an older state')
    this.#appliedIndex = index
    this.#appliedTerm = term
    this.#conf = conf
    this.#machineIndex = index
    this.#notifiedIndex = index
  }

  #apply(entry: Entry): void {
    if (entry.index <= this.#appliedIndex) return // overtaken by a snapshot
    assert(entry.index === this.#appliedIndex + 1, 'entries are applied without a gap')
    this.#appliedIndex = entry.index
    this.#appliedTerm = entry.term
    this.appliedEntries++
    this.appliedBytes += entrySizeBytes(entry)
    if (isConfChange(entry)) {
      this.#conf = this.#hooks.conf(entry)
    } else if (entry.data.length === 0) {
      this.#hooks.empty(entry)
    } else if (entry.index > this.#machineIndex) {
      this.#hooks.command(entry, this.#machine.apply(entry.data, { index: entry.index, term: entry.term }))
    }
  }

  #notify(): void {
    if (this.#notifiedIndex === this.#appliedIndex) return
    this.#notifiedIndex = this.#appliedIndex
    if (this.#appliedIndex >= this.#machineIndex) this.#machine.applied(this.#appliedIndex)
  }
}
