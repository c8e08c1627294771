import type { Progress, Service } from '../api/types.js'
import { isSkeinError } from '../base/errors.js'
import { cut, type Paint, paintFor, printable, widthOf } from './print.js'
import type { Session } from './session.js'

/** What came of following a service. */
export interface Convergence {
  readonly running: number
  readonly desired: number
  readonly tookMs: number
}

const barWidthMax = 30
const barWidthMin = 5
/** Rows kept free around a redrawn block, so that it never scrolls. */
const rowsAround = 4

/**
 * Follows a service until it has converged, with progress on stderr: a redrawn block on a terminal, else one line per change.
 * Always ends. Ctrl-C stops following; the service goes on.
 * @throws {SkeinError} ERR_SKEIN_TASKS_EXHAUSTED, ERR_SKEIN_NOT_CONVERGED, ERR_SKEIN_ABORTED
 */
export async function followService(session: Session, service: Pick<Service, 'id' | 'name'>): Promise<Convergence> {
  const { world, output } = session
  const startMs = world.clock.now()
  const view = output.options.quiet ? undefined : world.stderr.isTTY ? new Block(session) : new Lines(session)
  const cluster = await session.cluster()
  const { signal, remainingMs } = session
  const limits = { signal, ...(remainingMs === undefined ? {} : { timeoutMs: remainingMs }) }
  let last: Progress | undefined
  try {
    for await (const progress of cluster.services.converge(service.id, limits)) {
      last = progress
      view?.show(service.name, progress)
    }
  } catch (error) {
    if (session.signal.aborted)
      output.say(`${service.name} goes on by itself; nothing is undone (skein service ps ${service.name})`)
    else if (isSkeinError(error, 'ERR_SKEIN_TASKS_EXHAUSTED'))
      output.say(`logs of the failing task: skein task logs ${taskRef(error.detail.task)}`)
    throw error
  }
  session.signal.throwIfAborted() // a stream may end instead of failing when it is told to stop
  return { running: last?.running ?? 0, desired: last?.desired ?? 0, tookMs: Math.round(world.clock.now() - startMs) }
}

export function convergedText(name: string, { running, desired, tookMs }: Convergence): string {
  return `✔ ${name} converged: ${running}/${desired} in ${(tookMs / 1000).toFixed(1)}s`
}

function taskRef(task: unknown): string {
  if (typeof task === 'object' && task !== null && 'id' in task) return String(task.id)
  return String(task)
}

/** One line for each slot that changed since it was last shown. */
class Lines {
  readonly #session: Session
  readonly #shown = new Map<number, string>()

  constructor(session: Session) {
    this.#session = session
  }

  show(name: string, { slots }: Progress): void {
    for (const slot of slots) {
      const text = slotText(slot)
      if (this.#shown.get(slot.slot) === text) continue
      this.#shown.set(slot.slot, text)
      this.#session.output.say(`${name}.${slot.slot} ${text}`)
    }
    const present = new Set(slots.map(({ slot }) => slot))
    for (const slot of this.#shown.keys()) {
      if (present.has(slot)) continue
      this.#shown.delete(slot)
      this.#session.output.say(`${name}.${slot} removed`)
    }
  }
}

/** A block that is drawn over itself. */
class Block {
  readonly #session: Session
  readonly #paint: Paint
  #height = 0

  constructor(session: Session) {
    this.#session = session
    this.#paint = paintFor(session.world.stderr, session.world.env)
  }

  show(name: string, progress: Progress): void {
    const { stderr } = this.#session.world
    const room = Math.max(1, (stderr.rows ?? 24) - rowsAround)
    const columns = stderr.columns ?? 80
    const { running, desired, phase, slots } = progress
    const before = `${printable(name)}  ${running}/${desired}  `
    const barWidth = Math.max(barWidthMin, Math.min(barWidthMax, columns - widthOf(before) - phase.length - 3))
    const filled = desired === 0 ? barWidth : Math.round((barWidth * Math.min(running, desired)) / desired)
    const head = `${before}${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}  ${phase}`
    // What still waits is worth more of a small screen than what runs.
    const sorted = [...slots].sort((a, b) => Number(a.state === 'running') - Number(b.state === 'running') || a.slot - b.slot)
    const lines = sorted.slice(0, room).map((slot) => {
      const tone = slot.state === 'running' ? 'good' : 'waiting'
      return this.#paint(tone, cut(`  ${printable(name)}.${slot.slot}  ${slotText(slot)}`, columns - 1))
    })
    if (slots.length > room) lines.push(`  and ${slots.length - room} more`)
    const up = this.#height === 0 ? '' : `\u001b[${this.#height}A\u001b[J`
    stderr.write(`${up}${[cut(head, columns - 1), ...lines].join('\n')}\n`)
    this.#height = lines.length + 1
  }
}

function slotText({ state, node, why }: Progress['slots'][number]): string {
  const where = node === undefined ? '' : ` ${node}`
  return printable(`${state}${where}${why === '' || state === 'running' ? '' : `: ${why}`}`)
}
