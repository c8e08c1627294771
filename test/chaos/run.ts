import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/base/random.js'
import { type Cluster, connect } from '../../lib/index.js'
import { checkHistory, formatHistory, type HistoryVerdict, type Operation } from '../../lib/sim/linearizability/index.js'
import { type Machine, Machines } from './machines.js'
import { makeTrouble, type Trouble, troubles } from './nemeses.js'
import { loopback, openNamespaces, whyNoNamespaces } from './network.js'
import { Client, type WorkloadWorld } from './workload.js'

export interface ChaosOptions {
  readonly seed: number
  /** How long trouble is made, in milliseconds; starting, healing and judging come on top. */
  readonly troubleMs: number
  /** Where the history is written, a line of JSON per operation, as it is recorded. */
  readonly historyFile: string
  /** Told what happens, a line each. */
  readonly say?: (words: string) => void
}

export interface ChaosReport {
  readonly seed: number
  readonly verdict: HistoryVerdict
  /** After everything was healed, every client read and wrote again. */
  readonly recovered: boolean
  /** Machines whose process ended although nobody killed it. */
  readonly crashes: readonly string[]
  /** How often each kind of trouble was made. */
  readonly troubles: Readonly<Record<Trouble, number>>
  /** Kinds of trouble that cannot be made here. */
  readonly skipped: readonly { readonly trouble: Trouble; readonly why: string }[]
  readonly operations: {
    readonly acknowledged: number
    readonly mismatched: number
    readonly refused: number
    readonly unknown: number
  }
  readonly history: readonly Operation[]
}

const machinesCount = 5
const clientsPerMachine = 2
const keysAtOnce = 4
/** After this long other keys are used: what is judged at once then stays small, however long the run. */
const keysForMs = 30_000
/** A healed cluster that answers nobody for this long will not. */
const recoveryMs = 60_000

/** Whether everything a report says is as it should be. */
export function isGood({ verdict, recovered, crashes }: ChaosReport): boolean {
  return verdict.outcome === 'linearizable' && recovered && crashes.length === 0
}

/**
 * Five managers as processes, two clients at each, and all kinds of trouble at once; then everything is healed, everybody must
 * get answers again, and the history is judged. The seed decides what is done, but not when processes and disks get to it: a second run with
 * it is alike, not equal.
 */
export async function runChaos({ seed, troubleMs, historyFile, say = () => undefined }: ChaosOptions): Promise<ChaosReport> {
  const whyNoPartitions = whyNoNamespaces()
  const file = createWriteStream(historyFile)
  await once(file, 'open')
  const machines = await Machines.open(
    machinesCount,
    async (owned) => (whyNoPartitions === undefined ? await openNamespaces(machinesCount, owned) : loopback),
    { timing: { tickMs: 50, electionTicks: 10 } },
  )
  const clients: (Cluster & AsyncDisposable)[] = []
  try {
    const skipped = whyNoPartitions === undefined ? [] : [{ trouble: 'partition' as const, why: whyNoPartitions }]
    for (const { trouble, why } of skipped) say(`no ${trouble}: ${why}`)
    const invite = await found(machines, say)
    for (const { ready } of machines.all) {
      for (let at = 0; at < clientsPerMachine; at++) clients.push(await connect(invite.replace(/@.*$/, `@${ready?.address}`)))
    }
    await allVote(clients)
    const run = new Run(machines, clients, file, seed, say)
    const recovered = await run.play(
      troubles.filter((trouble) => skipped.every((each) => each.trouble !== trouble)),
      troubleMs,
    )
    const { history, counts } = run
    say(`judging ${history.length} operations`)
    const verdict = checkHistory(history)
    return { seed, verdict, recovered, crashes: machines.crashes, troubles: counts, skipped, operations: tally(history), history }
  } finally {
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
    await machines.close()
    file.end()
    await once(file, 'close')
  }
}

/** What happens between the cluster's first and last moment. */
class Run {
  readonly history: Operation[] = []
  readonly counts: Record<Trouble, number> = { kill: 0, pause: 0, partition: 0, clock: 0 }
  readonly #machines: Machines
  readonly #clusters: readonly Cluster[]
  readonly #clients: readonly Client[]
  readonly #seed: number
  readonly #startedMs = performance.now()
  readonly #say: (words: string) => void

  constructor(machines: Machines, clusters: readonly Cluster[], file: WriteStream, seed: number, say: (words: string) => void) {
    this.#machines = machines
    this.#clusters = clusters
    this.#seed = seed
    this.#say = (words) => say(`${(this.#elapsedMs() / 1000).toFixed(1)} s  ${words}`)
    this.#clients = clusters.map((cluster, at) => {
      const world: WorkloadWorld = {
        random: seededRandom(seed * 1_000 + at),
        nowUs: () => Math.round(this.#elapsedMs() * 1_000),
        keys: () => this.#keys(Math.floor(this.#elapsedMs() / keysForMs)),
        record: (operation) => {
          this.history.push(operation)
          file.write(formatHistory([operation]))
        },
      }
      return new Client(`c${at + 1}`, cluster, world)
    })
  }

  /** Trouble, then peace. Resolves to whether every client was served again. */
  async play(kinds: readonly Trouble[], troubleMs: number): Promise<boolean> {
    const ending = new AbortController()
    const working = this.#clients.map((client) => client.work(ending.signal))
    const peace = AbortSignal.timeout(troubleMs)
    await Promise.all(kinds.map((trouble, at) => this.#trouble(trouble, at, peace)))
    this.#say('peace')
    await this.#heal()
    const recovered = await this.#served()
    this.#say(recovered ? 'everybody is served again' : `not everybody is served ${recoveryMs} ms after everything was healed`)
    ending.abort()
    await Promise.all(working)
    // What was acknowledged long ago must still be there.
    for (let period = Math.floor(this.#elapsedMs() / keysForMs); period >= 0; period--) {
      await Promise.all(this.#keys(period).map(async (key, at) => await this.#clients[at]?.get(key)))
    }
    return recovered
  }

  #trouble(trouble: Trouble, at: number, peace: AbortSignal): Promise<void> {
    const world = {
      machines: this.#machines,
      random: seededRandom(this.#seed * 1_000 + 500 + at),
      leader: () => this.#leader(),
      say: this.#say,
      count: (kind: Trouble) => {
        this.counts[kind]++
      },
    }
    return makeTrouble(trouble, world, peace)
  }

  /** The nemeses undo what they did; only a machine that ended by itself is still off. */
  async #heal(): Promise<void> {
    for (const machine of this.#machines.all) {
      if (machine.state === 'off') void this.#machines.start(machine)
    }
    await this.#machines.network.cut?.([])
  }

  /** Whether each client gets an answer to a read and a write, each within its own patience, before all patience ends. */
  async #served(): Promise<boolean> {
    const endMs = performance.now() + recoveryMs
    const served = await Promise.all(
      this.#clients.map(async (client) => {
        const [key = ''] = this.#keys(0)
        while (performance.now() < endMs) {
          if ((await client.put(key)) && (await client.get(key))) return true
          await sleep(100)
        }
        return false
      }),
    )
    return served.every((each) => each)
  }

  async #leader(): Promise<Machine | undefined> {
    const answers = await Promise.allSettled(this.#clusters.map((cluster) => cluster.clusterStatus({ deadlineMs: 300 })))
    const known = answers.flatMap((answer) => (answer.status === 'fulfilled' && answer.value.leading ? [answer.value] : []))
    // A leader that was cut off may not know it yet: the highest term is right.
    const newest = known.sort((a, b) => b.term - a.term)[0]
    return this.#machines.all.find(({ name }) => name === newest?.name)
  }

  #keys(period: number): readonly string[] {
    return Array.from({ length: keysAtOnce }, (_, at) => `k${at + 1}.${period}`)
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs
  }
}

/** The first founds, the others join as managers; resolves to the join string. */
async function found(machines: Machines, say: (words: string) => void): Promise<string> {
  const [first, ...others] = machines.all as [Machine, ...Machine[]]
  const { invite } = await machines.startFirst(first)
  if (invite === undefined) throw new Error(`${first.name} gave no join string`)
  await Promise.all(others.map((machine) => machines.startFirst(machine, invite)))
  say(`${machines.all.length} managers are up: ${machines.all.map(({ name, ready }) => `${name} ${ready?.address}`).join(', ')}`)
  return invite
}

async function allVote(clusters: readonly Cluster[]): Promise<void> {
  const endMs = performance.now() + recoveryMs
  for (;;) {
    const answers = await Promise.all(clusters.map((cluster) => cluster.clusterStatus()))
    if (answers.every(({ quorum }) => quorum.voters === machinesCount)) return
    if (performance.now() > endMs) throw new Error(`not all of ${machinesCount} managers became voters`)
    await sleep(50)
  }
}

function tally(history: readonly Operation[]): ChaosReport['operations'] {
  const count = (test: (operation: Operation) => boolean): number => history.filter(test).length
  return {
    acknowledged: count(({ ok }) => ok === true),
    mismatched: count(({ ok, refused }) => ok === false && refused === undefined),
    refused: count(({ refused }) => refused !== undefined),
    unknown: count(({ ok }) => ok === null),
  }
}
