import type { TaskReport } from '../api/session.js'
import { abortable } from '../base/abort.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { canAdvance, isTerminal } from '../model/task.js'

/** Most reports in one message; the rest follows when it is acknowledged. */
export const reportsMax = 1_000

/** More words than that of a task's state are cut off. */
const messageMaxChars = 1_000

/** Where else the latest report of each task is kept. */
export interface ReportSink {
  set(report: TaskReport): void
  delete(id: string): void
}

/** Hands reports to the leading manager; answers with the tasks the cluster does not know. */
export type SendReports = (reports: readonly TaskReport[]) => Promise<{ readonly forget: readonly string[] }>

/**
 * What the manager must still hear: the latest state of each task, until it is acknowledged. While a message is under way
 * further changes gather, so a busy node sends few, large messages.
 */
export class Reporter {
  /** Told of every news and of what is forgotten; for the rows others read. */
  readonly #told: ReportSink | undefined
  readonly #latest = new Map<string, TaskReport>()
  readonly #due = new Set<string>()
  #changed: Deferred<void> = deferred()

  constructor(told?: ReportSink) {
    this.#told = told
  }

  /** Says whether it was news: a state that is not further than the last is dropped. */
  update(report: TaskReport): boolean {
    const last = this.#latest.get(report.id)
    if (last !== undefined && !canAdvance(last.state, report.state)) return false
    // A driver's words may be of any length; one message over its bound would keep all others from being heard.
    const told = { ...report, message: report.message.slice(0, messageMaxChars) }
    this.#latest.set(report.id, told)
    this.#due.add(report.id)
    this.#told?.set(told)
    this.#wake()
    return true
  }

  /** The task is no longer ours to speak of. */
  forget(id: string): void {
    this.#latest.delete(id)
    this.#due.delete(id)
    this.#told?.delete(id)
    this.#wake()
  }

  /**
   * Speaks for one session: first everything it knows, then what changes. Ends only by rejecting.
   * @throws what `send` rejects with, ERR_SKEIN_ABORTED; nothing is lost by it, the next session begins with everything
   */
  async run(send: SendReports, onForget: (ids: readonly string[]) => void, signal: AbortSignal): Promise<never> {
    for (const id of this.#latest.keys()) this.#due.add(id)
    for (;;) {
      const changed = this.#changed.promise
      const batch = this.#nextBatch()
      if (batch.length === 0) {
        await abortable(changed, signal, 'report')
        continue
      }
      const { forget } = await send(batch)
      for (const report of batch) {
        if (this.#latest.get(report.id) === report) this.#due.delete(report.id)
      }
      this.#wake()
      if (forget.length > 0) onForget(forget)
    }
  }

  /** The latest that is not acknowledged yet, ends first, at most `max`; after a restart that is everything. */
  due(max: number): readonly TaskReport[] {
    const due = [...this.#due].flatMap((id) => this.#latest.get(id) ?? [])
    return due.sort((a, b) => Number(isTerminal(b.state)) - Number(isTerminal(a.state))).slice(0, max)
  }

  /** Resolves when all that is known has been acknowledged. */
  async flushed(): Promise<void> {
    while (this.#due.size > 0) await this.#changed.promise
  }

  #nextBatch(): TaskReport[] {
    const batch: TaskReport[] = []
    for (const id of this.#due) {
      const report = this.#latest.get(id)
      if (report !== undefined) batch.push(report)
      if (batch.length >= reportsMax) break
    }
    return batch
  }

  #wake(): void {
    const { resolve } = this.#changed
    this.#changed = deferred()
    resolve()
  }
}
