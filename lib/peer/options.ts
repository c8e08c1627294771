import type { RuntimeDriver } from '../drivers/driver.js'

/** pino's argument order; default: the `debug` package under `skein:*`. */
export interface Logger {
  debug(o: object, msg: string): void
  info(o: object, msg: string): void
  warn(o: object, msg: string): void
  error(o: object, msg: string): void
}

export interface PeerOptions {
  /** Where votes, log and keys live. Leave out: memory only (tests, throw-away workers). */
  readonly dir?: string
  /** `skein://TOKEN@host:port[,host:port]`, or a function that gives it. Leave out: come back from `dir`, else found a cluster. */
  readonly join?: string | (() => Promise<string>) | undefined
  /** host:port to listen on; port 0 takes a free one. Default 127.0.0.1:0. */
  readonly listen?: string
  /** host:port others reach this peer at. Default: the address it listens on. */
  readonly advertise?: string
  /** Unique in the cluster. Default: the host's name with a random ending. */
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** A manager also works unless it is `drain`. Default 'active'. */
  readonly availability?: 'active' | 'pause' | 'drain'
  /** Default: the process driver, and inline with no functions. */
  readonly drivers?: readonly RuntimeDriver[]
  readonly logger?: Logger
  /** Stops the peer when aborted. */
  readonly signal?: AbortSignal
  /** Milliseconds per raft tick (default 100, 10..1,000) and ticks without a leader before an election (default 10, 3..100). */
  readonly timing?: { readonly tickMs?: number; readonly electionTicks?: number }
}
