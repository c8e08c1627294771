import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import type { Random } from '../base/random.js'
import { inlineDriver, processDriver, type RuntimeDriver } from '../drivers/index.js'
import type { Availability } from '../model/node.js'
import { mapOf } from '../model/validate.js'
import { nowhere } from './listen.js'
import { debugLogger } from './logger.js'

export interface PeerOptions {
  /** Where votes, log and keys live. Leave out: memory only (tests, throw-away workers). */
  readonly dir?: string
  /** `skein://TOKEN@host:port[,host:port]`, or a function that gives it. Leave out: come back from `dir`, else found a cluster. */
  readonly join?: string | (() => Promise<string>) | undefined
  /**
   * This many identical processes, from 1 to 15, found the cluster together once all of them have met, in any order; fewer found nothing.
   * Needs `join` with a founding token (`skein token new`). Where the cluster is there already, and with any other token, the peer joins.
   */
  readonly expect?: number
  /**
   * host:port to listen on; port 0 takes a free one. Default 127.0.0.1:0; a peer that comes back takes its last port if it can.
   * `none`: a worker that opens no port and only dials out, behind address translation or a firewall.
   */
  readonly listen?: string
  /** host:port others reach this peer at; port 0: the one it listens on. Default: where it listens, or an address of this machine when that is a wildcard. */
  readonly advertise?: string
  /** False: nothing but links, no UDP on the port it listens on; dead hosts are noticed a little later. Default true. */
  readonly datagrams?: boolean
  /** Seals the keys in `dir`, and with them a manager's log and tables; see `skein lock`. Leave out: they lie open to whoever can read the directory's files. */
  readonly passphrase?: string | (() => Promise<string>) | undefined
  /** Unique in the cluster, from 1 to 63 of [a-zA-Z0-9._-]. Default: the host's name with a random ending. */
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** A manager also works unless it is `drain`. Default 'active'. Counts when the peer first joins; later the operator's word does. */
  readonly availability?: Availability
  /**
   * Voters to keep among the managers while this one leads, from 1 to 15: the others are spare, and one of them takes the place of a
   * voter that was silent for 30 election timeouts. Give every manager the same. Default: every manager votes.
   */
  readonly managers?: number
  /** Default: the process driver, and inline with no functions. */
  readonly drivers?: readonly RuntimeDriver[]
  readonly logger?: Logger
  /** Stops the peer when aborted. */
  readonly signal?: AbortSignal
  /**
   * Milliseconds per raft tick (default 100, 10..1,000) and ticks without a leader before an election (default 10, 3..100).
   * A dead leader is noticed in about 1.5 × electionTicks × tickMs.
   */
  readonly timing?: { readonly tickMs?: number; readonly electionTicks?: number }
}

export interface ResolvedPeerOptions {
  readonly dir: string | undefined
  readonly join: string | (() => Promise<string>) | undefined
  readonly expect: number | undefined
  readonly passphrase: string | (() => Promise<string>) | undefined
  readonly listen: string | undefined
  readonly advertise: string | undefined
  readonly datagrams: boolean
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly availability: Availability
  readonly votersWanted: number | undefined
  readonly drivers: readonly RuntimeDriver[]
  readonly logger: Logger
  readonly signal: AbortSignal | undefined
  readonly tickMs: number
  readonly electionTicks: number
}

const address = v.pipe(
  v.string(),
  v.regex(/^(\[[^\]]+\]|[^:[\]]+):\d{1,5}$/, 'expected host:port, such as 127.0.0.1:7946 or [::1]:0'),
)
const whole = (from: number, to: number) =>
  v.pipe(
    v.number(),
    v.integer(`expected an integer from ${from} to ${to}`),
    v.minValue(from, `expected at least ${from}`),
    v.maxValue(to, `expected at most ${to}`),
  )
const schema = v.strictObject({
  dir: v.optional(v.pipe(v.string(), v.nonEmpty('expected a path'))),
  join: v.optional(v.union([v.string(), v.function()], 'expected a join string or a function that gives one')),
  passphrase: v.optional(
    v.union([v.pipe(v.string(), v.nonEmpty()), v.function()], 'expected a text or a function that gives one'),
  ),
  expect: v.optional(whole(1, 15)),
  listen: v.optional(
    v.union([v.literal(nowhere), address], `expected host:port, such as 127.0.0.1:7946 or [::1]:0, or ${nowhere}`),
  ),
  advertise: v.optional(address),
  datagrams: v.optional(v.boolean('expected true or false')),
  name: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, 'expected 1 to 63 characters of [a-zA-Z0-9._-], the first a letter or digit'),
    ),
  ),
  labels: v.optional(mapOf(v.string(), v.string('expected a text'))),
  availability: v.optional(v.picklist(['active', 'pause', 'drain'])),
  managers: v.optional(whole(1, 15)),
  drivers: v.optional(v.array(v.custom<RuntimeDriver>(isDriver, 'expected a RuntimeDriver: name, describe, prepare'))),
  logger: v.optional(v.custom<Logger>(isLogger, 'expected debug, info, warn and error functions')),
  signal: v.optional(v.instance(AbortSignal)),
  timing: v.optional(v.strictObject({ tickMs: v.optional(whole(10, 1_000)), electionTicks: v.optional(whole(3, 100)) })),
})

/** Checks every option and fills the defaults; past here nothing is undefined by accident. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function resolvePeerOptions(options: PeerOptions, hostname: string, random: Random): ResolvedPeerOptions {
  const result = v.safeParse(schema, options)
  if (!result.success) {
    const issue = result.issues[0]
    const option = v.getDotPath(issue) ?? 'options'
    const words =
      issue.type === 'strict_object'
        ? `unknown option; known are ${Object.keys(schema.entries).join(', ')}`
        : `${issue.message}, got ${issue.received}`
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: ${words}`, { option, got: issue.received })
  }
  if (options.listen === nowhere && options.advertise !== undefined) {
    const words = `advertise: a peer that listens nowhere is reached nowhere; leave it out, or give listen an address`
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'advertise', got: options.advertise })
  }
  if (options.expect !== undefined && options.join === undefined) {
    const words = 'expect: needs join, with a founding token (skein token new) and the addresses where the others are met'
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'expect', got: options.expect })
  }
  const drivers = options.drivers ?? [
    processDriver(options.dir === undefined ? {} : { dir: `${options.dir}/tasks` }),
    inlineDriver({ functions: {} }),
  ]
  const twice = drivers.find(({ name }, at) => drivers.findIndex((other) => other.name === name) !== at)
  if (twice !== undefined) {
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `drivers: two are named ${twice.name}; give each its own name`, {
      option: 'drivers',
      got: twice.name,
    })
  }
  return Object.freeze({
    dir: options.dir,
    join: options.join,
    expect: options.expect,
    passphrase: options.passphrase,
    listen: options.listen,
    advertise: options.advertise,
    // Their port would be one.
    datagrams: options.listen !== nowhere && (options.datagrams ?? true),
    name: options.name ?? `${hostname.replace(/[^a-zA-Z0-9._-]/g, '-').slice(0, 50)}-${makeId(random).slice(0, 4)}`,
    labels: options.labels ?? {},
    availability: options.availability ?? 'active',
    votersWanted: options.managers,
    drivers,
    logger: options.logger ?? debugLogger(),
    signal: options.signal,
    tickMs: options.timing?.tickMs ?? 100,
    electionTicks: options.timing?.electionTicks ?? 10,
  })
}

function isDriver(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { name, describe, prepare } = value as Partial<RuntimeDriver>
  return typeof name === 'string' && typeof describe === 'function' && typeof prepare === 'function'
}

function isLogger(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const logger = value as Partial<Logger>
  return [logger.debug, logger.info, logger.warn, logger.error].every((act) => typeof act === 'function')
}
