/** A small world for founding: processes that crash, forget and are cut off, on a virtual clock. */
import { below, type Random, seededRandom } from '../../lib/base/random.js'
import { type Attendee, type Effects, FoundingCore, type FoundingMemory, type Question } from '../../lib/peer/founding-core.js'

export interface Value {
  readonly by: string
  readonly members: readonly string[]
}

export interface SimOptions {
  readonly seed: number
  /** Processes that run. */
  readonly processes: number
  readonly expect: number
  /** Faults end then. */
  readonly chaosMs: number
  readonly endMs: number
  /** Times a process may come back without its memory, under a new id. */
  readonly amnesias: number
  /** Cut in two for all of the time; undefined: cuts come and go. */
  readonly halves?: readonly (readonly number[])[]
}

export interface SimResult {
  /** One for each process that knows, in the order of the processes. */
  readonly decided: readonly (Value | undefined)[]
  /** Every value that anybody ever took for chosen. */
  readonly values: ReadonlySet<Value>
  readonly crashes: number
}

interface Process {
  readonly at: number
  self: Attendee
  core: FoundingCore<Value>
  memory: FoundingMemory<Value> | undefined
  up: boolean
  /** Of this start: what an earlier one scheduled is void. */
  start: number
  writtenMs: number
  decided: Value | undefined
}

export function simulateFounding(o: SimOptions): SimResult {
  const random: Random = seededRandom(o.seed)
  const events: { readonly atMs: number; readonly order: number; readonly act: () => void }[] = []
  const values = new Set<Value>()
  let nowMs = 0
  let order = 0
  let crashes = 0
  let amnesias = o.amnesias
  let ids = 0
  let groups: readonly (readonly number[])[] = o.halves ?? []
  const loss = 0.05 + random() * 0.4

  const after = (delayMs: number, act: () => void): void => void events.push({ atMs: nowMs + delayMs, order: order++, act })
  const isChaos = (): boolean => nowMs < o.chaosMs
  const newSelf = (at: number): Attendee => {
    ids++
    const id = `${below(random, 36 ** 4).toString(36)}-${ids}`
    return { id, name: id, address: `p${at}` }
  }
  const boot = (self: Attendee, memory: FoundingMemory<Value> | undefined): FoundingCore<Value> =>
    new FoundingCore(self, o.expect, random, memory)
  const processes: Process[] = Array.from({ length: o.processes }, (_, at) => {
    const self = newSelf(at)
    return { at, self, core: boot(self, undefined), memory: undefined, up: false, start: 0, writtenMs: 0, decided: undefined }
  })

  const reaches = (a: number, b: number): boolean => {
    if (groups.length === 0) return true
    return groups.some((group) => group.includes(a) && group.includes(b))
  }
  const travels = (a: number, b: number): boolean => reaches(a, b) && (!isChaos() || random() >= loss)
  const latencyMs = (): number => 1 + below(random, isChaos() && random() < 0.1 ? 4_000 : 60)

  /** Acts once it is durable, unless the process died before. */
  const durably = (process: Process, memory: FoundingMemory<Value> | undefined, act: () => void): void => {
    const { start } = process
    if (memory === undefined) {
      act()
      return
    }
    process.writtenMs = Math.max(process.writtenMs, nowMs) + 1 + below(random, 30)
    after(process.writtenMs - nowMs, () => {
      if (process.start !== start || !process.up) return
      process.memory = memory
      act()
    })
  }

  const ask = (process: Process, to: number, question: Question<Value>): void => {
    const { start } = process
    const target = processes[to] as Process
    const isSelf = to === process.at
    if (!isSelf && !travels(process.at, to)) return
    const copies = isSelf || random() > 0.1 ? 1 : 2
    for (let copy = 0; copy < copies; copy++) {
      after(isSelf ? 0 : latencyMs(), () => {
        if (!target.up) return
        const { answer, memory } = target.core.asked(question)
        const who = target.self
        durably(target, memory, () => {
          if (!isSelf && !travels(to, process.at)) return
          after(isSelf ? 0 : latencyMs(), () => {
            if (process.up && process.start === start) carryOut(process, process.core.heard(who, answer, nowMs))
          })
        })
      })
    }
  }

  const carryOut = (process: Process, { memory, ask: wish, make, outcome }: Effects<Value>): void => {
    const { start } = process
    durably(process, memory, () => {
      for (const { address } of wish?.to ?? []) ask(process, Number(address.slice(1)), wish?.question as Question<Value>)
      if (make !== undefined) {
        after(5 + below(random, 200), () => {
          if (!process.up || process.start !== start) return
          const value = { by: process.self.id, members: make.members.map(({ id }) => id) }
          carryOut(process, process.core.made(make.ballot, value))
        })
      }
      if (outcome?.type === 'decided' && process.decided === undefined) {
        process.decided = outcome.value
        values.add(outcome.value)
      }
    })
  }

  const live = (process: Process): void => {
    const { start } = process
    const turn = (): void => {
      if (!process.up || process.start !== start) return
      for (const { at } of processes) if (at !== process.at) ask(process, at, { type: 'hello' })
      carryOut(process, process.core.tick(nowMs))
      after(300 + below(random, 400), turn)
    }
    turn()
  }
  const raise = (process: Process): void => {
    if (process.up) return
    process.up = true
    live(process)
  }
  const crash = (process: Process): void => {
    crashes++
    process.up = false
    process.start++
    process.decided = undefined
    const forgets = amnesias > 0 && random() < 0.3
    if (forgets) {
      amnesias--
      process.self = newSelf(process.at)
      process.memory = undefined
    }
    process.core = boot(process.self, process.memory)
  }

  for (const process of processes) after(below(random, 3_000), () => raise(process))
  for (let atMs = 500; atMs < o.chaosMs; atMs += 200 + below(random, 3_000)) {
    after(atMs, () => {
      const what = random()
      const victim = processes[below(random, processes.length)] as Process
      if (what < 0.45) crash(victim)
      else if (what < 0.8) raise(victim)
      else if (o.halves === undefined) {
        const side = processes.filter(() => random() < 0.5).map(({ at }) => at)
        groups = random() < 0.4 ? [] : [side, processes.map(({ at }) => at).filter((at) => !side.includes(at))]
      }
    })
  }
  after(o.chaosMs, () => {
    if (o.halves === undefined) groups = []
    for (const process of processes) raise(process)
  })

  while (events.length > 0) {
    let next = 0
    for (let at = 1; at < events.length; at++) {
      const [a, b] = [events[at], events[next]]
      if (a !== undefined && b !== undefined && (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order))) next = at
    }
    const [event] = events.splice(next, 1)
    if (event === undefined || event.atMs > o.endMs) break
    nowMs = event.atMs
    event.act()
    if (nowMs > o.chaosMs && processes.every(({ decided }) => decided !== undefined)) break
  }
  return { decided: processes.map(({ decided }) => decided), values, crashes }
}
