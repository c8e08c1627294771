import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Call, Cluster } from '../api/types.js'
import { deferred } from '../base/deferred.js'
import { messageOf, SkeinError } from '../base/errors.js'
import { type Format, Output } from './output.js'
import type { CliWorld } from './world.js'

/** Flags every command that asks a cluster has. */
export interface SharedOptions {
  readonly connect?: string
  readonly dir?: string
  readonly format?: Format
  readonly quiet?: boolean
  readonly wide?: boolean
  /** Milliseconds. */
  readonly timeout?: number
}

/** The file a running peer leaves in its directory: where and as whom to reach it. */
const controlFile = 'control.json'
/** Calls and convergence keep the time limit themselves and say what was missing; the abort is for one that does not. */
const timeoutGraceMs = 500
/** For work that was told to stop to say what became of it. */
const stopGraceMs = 1_000

/** One run of one command: its output, its time limit, and a connection once it asks for one. */
export class Session implements AsyncDisposable {
  readonly world: CliWorld
  readonly options: SharedOptions
  readonly output: Output
  readonly #startMs: number
  readonly #stopping = new AbortController()
  readonly #cancelTimer: () => void
  readonly #forgetSignals: () => void
  #connected: Promise<Cluster & AsyncDisposable> | undefined

  constructor(world: CliWorld, options: SharedOptions) {
    this.world = world
    this.#startMs = world.clock.now()
    this.options = options
    this.output = new Output(world, {
      format: options.format ?? 'table',
      quiet: options.quiet ?? false,
      wide: options.wide ?? false,
    })
    const timeoutMs = options.timeout
    const timedOut = (): void =>
      this.#stopping.abort(
        new SkeinError('ERR_SKEIN_TIMEOUT', `no answer within ${timeoutMs} ms`, { what: 'command', timeoutMs: timeoutMs ?? 0 }),
      )
    this.#cancelTimer = timeoutMs === undefined ? () => undefined : world.clock.after(timeoutMs + timeoutGraceMs, timedOut)
    this.#forgetSignals = world.onSignal((signal) =>
      this.#stopping.abort(new SkeinError('ERR_SKEIN_ABORTED', `interrupted by ${signal}`, { what: 'command' })),
    )
  }

  /** Aborted, with the error to report as its reason, by Ctrl-C or past the time limit. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Milliseconds left of the time limit, at least 1; undefined when there is none. */
  get remainingMs(): number | undefined {
    const { timeout } = this.options
    return timeout === undefined ? undefined : Math.max(1, timeout - Math.round(this.world.clock.now() - this.#startMs))
  }

  /** The options of one call. */
  get call(): Call {
    const { remainingMs } = this
    return { signal: this.signal, ...(remainingMs === undefined ? {} : { deadlineMs: remainingMs }) }
  }

  /** Connects at the first call. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION when there is nowhere to connect to, ERR_SKEIN_UNREACHABLE */
  cluster(): Promise<Cluster> {
    this.#connected ??= controlUrl(this.world, this.options).then((url) => this.world.connect(url, { signal: this.signal }))
    return this.#connected
  }

  /** The work's outcome; once stopped, the reason, at the latest a moment later even if the work does not listen. */
  async untilStopped<T>(work: Promise<T>): Promise<T> {
    const stopped = deferred<never>()
    this.signal.addEventListener('abort', () => this.world.clock.after(stopGraceMs, () => stopped.reject(this.signal.reason)), {
      once: true,
    })
    try {
      return await Promise.race([work, stopped.promise])
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelTimer()
    this.#forgetSignals()
    const connected = await this.#connected?.catch(() => undefined) // a failed connection has been reported by who asked for it
    await connected?.[Symbol.asyncDispose]()
  }
}

/** The data directory the flags and the environment name, absolute. */
export function dataDir(world: CliWorld, options: Pick<SharedOptions, 'dir'>): string {
  return resolve(world.cwd, options.dir ?? nonEmpty(world.env.SKEIN_DIR) ?? '.skein')
}

/** `--connect`, then SKEIN_CONNECT, then what the peer in the data directory left there. */
async function controlUrl(world: CliWorld, options: SharedOptions): Promise<string> {
  const given = options.connect ?? nonEmpty(world.env.SKEIN_CONNECT)
  if (given !== undefined) return given
  const file = join(dataDir(world, options), controlFile)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const why = missing ? 'no peer runs there' : messageOf(error)
    const remedy = 'start one with `skein up`, or name a cluster with --connect skein://TOKEN@host:port, SKEIN_CONNECT or --dir'
    throw new SkeinError(
      'ERR_SKEIN_INVALID_OPTION',
      `no cluster to talk to: ${file}: ${why}; ${remedy}`,
      { option: 'connect' },
      { cause: error },
    )
  }
  const url = urlIn(text)
  if (url !== undefined) return url
  const words = `${file}: expected {"url": "skein://…"}; start the peer of this directory again, or use --connect`
  throw new SkeinError('ERR_SKEIN_CORRUPT', words, { file })
}

function urlIn(text: string): string | undefined {
  try {
    const content: unknown = JSON.parse(text)
    if (typeof content !== 'object' || content === null || !('url' in content)) return undefined
    return typeof content.url === 'string' ? content.url : undefined
  } catch {
    // Not JSON: the caller says what was expected.
    return undefined
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
