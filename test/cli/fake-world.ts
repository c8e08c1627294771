import type { Clock } from '../../lib/base/clock.js'
import { seededRandom } from '../../lib/base/random.js'
import { type CliWorld, runCli } from '../../lib/cli/index.js'
import { epochMs, type FakeState, fakeCluster, fakeState } from './fake-cluster.js'

/** A command line's world in memory. */
export interface FakeWorld extends CliWorld {
  readonly state: FakeState
  readonly out: () => string
  readonly err: () => string
  /** What connect was asked for. */
  readonly urls: string[]
  /** How many connections are still open. */
  readonly open: () => number
  readonly signal: (signal: 'SIGINT' | 'SIGTERM') => void
  readonly clock: FakeClock
}

export interface FakeClock extends Clock {
  /** Lets time pass and runs what is due, in order. */
  advance(byMs: number): void
  readonly waiting: () => number
}

export function fakeClock(): FakeClock {
  let nowMs = 0
  let timers: { readonly atMs: number; readonly act: () => void }[] = []
  return {
    now: () => nowMs,
    wallMs: () => epochMs + nowMs,
    after(delayMs, act) {
      const timer = { atMs: nowMs + delayMs, act }
      timers.push(timer)
      return () => {
        timers = timers.filter((each) => each !== timer)
      }
    },
    every: () => () => undefined,
    advance(byMs) {
      nowMs += byMs
      const due = timers.filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs)
      timers = timers.filter(({ atMs }) => atMs > nowMs)
      for (const { act } of due) act()
    },
    waiting: () => timers.length,
  }
}

export function fakeWorld(more: Partial<CliWorld> & { readonly tty?: boolean; readonly columns?: number } = {}): FakeWorld {
  const state = fakeState()
  const listeners = new Set<Parameters<CliWorld['onSignal']>[0]>()
  const urls: string[] = []
  const out: string[] = []
  const err: string[] = []
  let signals = 0
  let open = 0
  const sink = (into: string[]) => ({
    write: (text: string | Uint8Array) => void into.push(typeof text === 'string' ? text : new TextDecoder().decode(text)),
    isTTY: more.tty ?? false,
    columns: more.columns,
    rows: undefined,
  })
  return {
    version: '1.2.3',
    pid: 4711,
    cwd: '/nowhere',
    env: { SKEIN_CONNECT: 'skein://token@127.0.0.1:7946' },
    stdout: sink(out),
    stderr: sink(err),
    random: seededRandom(1),
    readStdin: async () => new TextEncoder().encode('from stdin'),
    onSignal(heard) {
      listeners.add(heard)
      return () => void listeners.delete(heard)
    },
    async connect(url) {
      urls.push(url)
      open += 1
      return Object.assign(fakeCluster(state), {
        async [Symbol.asyncDispose]() {
          open -= 1
        },
      })
    },
    createPeer: () => Promise.reject(new Error('no peer in this test')),
    runDemo: () => Promise.reject(new Error('no demo in this test')),
    clock: fakeClock(),
    ...more,
    state,
    urls,
    out: () => out.join(''),
    err: () => err.join(''),
    open: () => open,
    signal(signal) {
      signals += 1
      for (const heard of [...listeners]) heard(signal, signals)
    },
  } as FakeWorld
}

/** Runs a command line of plain words; quotes are not needed, `args` adds words with spaces. */
export async function run(world: FakeWorld, line: string, ...args: readonly string[]): Promise<number> {
  return runCli([...line.split(' ').filter((word) => word !== ''), ...args], world)
}
