import type { Cluster, Status } from '../api/types.js'
import type { Clock } from '../base/clock.js'
import type { Random } from '../base/random.js'
import type { PeerOptions } from '../peer/options.js'

export interface TextSink {
  write(text: string | Uint8Array): void
  readonly isTTY: boolean
  /** Width and height of the terminal; undefined when there is none. */
  readonly columns: number | undefined
  readonly rows: number | undefined
}

/** As much of a peer as `skein up` needs. */
export interface PeerHandle extends Pick<Cluster, 'invite'> {
  readonly id: string
  readonly name: string
  readonly role: 'manager' | 'worker'
  readonly address: string
  /** Never rejects: undefined after stop(), the error if the peer failed by itself. */
  readonly ended: Promise<unknown>
  status(): Pick<Status, 'cluster'>
  stop(): Promise<void>
}

export interface DemoOptions {
  /** Plays the story unattended and checks it; else shows the live table. */
  readonly script: boolean
  readonly format: 'text' | 'json'
  /** Leaves the demo's directory behind. */
  readonly keep: boolean
}

/** Everything the command line touches, so that a test can hand in its own. */
export interface CliWorld {
  readonly version: string
  readonly pid: number
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: TextSink
  readonly stderr: TextSink
  readonly clock: Clock
  readonly random: Random
  readStdin(): Promise<Uint8Array>
  /** Calls `heard` at each SIGINT and SIGTERM with how many there were, until the returned function is called. */
  onSignal(heard: (signal: 'SIGINT' | 'SIGTERM', count: number) => void): () => void
  connect(url: string, o: { readonly signal: AbortSignal }): Promise<Cluster & AsyncDisposable>
  createPeer(options: PeerOptions): Promise<PeerHandle>
  /** Resolves with the exit code. */
  runDemo(options: DemoOptions): Promise<number>
}
