import type { Clock } from '../../base/clock.js'
import { SkeinError } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import type { ConfState, RaftId } from '../core/index.js'
import { MemoryFiles, nodeFiles, type WalFiles } from '../wal/index.js'
import type { RaftTransport } from './outbox.js'
import type { StateMachine } from './state-machine.js'

export interface RaftRunnerOptions {
  /** This peer: an integer from 1 to 2^48 - 1, never used before by anyone. A peer that lost its disk comes back under a new one. */
  readonly id: RaftId
  readonly clusterId: string
  /** Where log and snapshots live. Without it they live in memory: such a peer must not be started again under its id. */
  readonly dir?: string | undefined
  /** The first configuration, given to the very first peers only; ignored once there is a log. Others wait to be contacted. */
  readonly bootstrap?: ConfState | undefined
  readonly stateMachine: StateMachine
  readonly transport: RaftTransport
  readonly clock: Clock
  readonly random: Random
  /** Milliseconds per tick, which is also the time between heartbeats. Default 100. */
  readonly tickMs?: number
  /** Ticks without a leader before asking for votes, from 3; each wait is drawn from [n, 2n). Default 10. */
  readonly electionTicks?: number
  /**
   * Entries applied between snapshots at most; each wait is drawn from three quarters of it on, so that the peers do not all take
   * one at the same entry. Default 10,000. A state over 1 MiB is written less often: when the log grew by a quarter of
   * it since, or by `snapshotEveryBytes`. While one is on its way to a peer, none is taken for as long as memory allows.
   */
  readonly snapshotEveryEntries?: number
  /** Bytes of entries applied between snapshots, if that comes first. Default 64 MiB. */
  readonly snapshotEveryBytes?: number
  /** Bytes per second at which snapshots leave, all peers together: heartbeats and writes need the same disks, links and processors. Default 16 MiB. */
  readonly snapshotBytesPerSecond?: number
  /** Entries kept in memory behind a snapshot, so that a peer a little behind needs no snapshot; at most 16 MiB of them. Default 2,000. */
  readonly trailingEntries?: number
  /** Bytes of one proposal; more is refused with ERR_SKEIN_TOO_LARGE. Default 1.5 MiB. */
  readonly maxEntryBytes?: number
  /** Proposals waiting for their result; more are refused with ERR_SKEIN_BUSY. Default 10,000. */
  readonly maxPendingProposals?: number
  /** Bytes of proposals not yet applied; more are refused with ERR_SKEIN_BUSY. Default 8 MiB. */
  readonly maxUncommittedBytes?: number
  /** Reads waiting for confirmation; more are refused with ERR_SKEIN_BUSY. Default 10,000. */
  readonly maxPendingReads?: number
  /**
   * Peers promise their leader not to vote for another for electionTicks - 2 ticks, so that it may answer reads by itself for nine
   * tenths of that time; and for electionTicks ticks after they start. The price: the death of a leader is noticed by its silence
   * only. Promises travel with the answers to heartbeats, so peers with and without them may be mixed and only those with them count.
   * To switch it off again, a peer must be down for an election timeout. Default false.
   */
  readonly leaseReads?: boolean
  /** Bytes after which the log starts a new file. Default 64 MiB. */
  readonly segmentBytes?: number
  /** The disk; for tests and simulations. Default: node:fs, or memory without `dir`. */
  readonly files?: WalFiles
}

export type ResolvedRunnerOptions = Required<Omit<RaftRunnerOptions, 'bootstrap' | 'dir'>> & {
  readonly dir: string
  readonly bootstrap: ConfState | undefined
}

/** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION naming the option */
export function resolveRunnerOptions(options: RaftRunnerOptions): ResolvedRunnerOptions {
  const resolved = {
    tickMs: 100,
    electionTicks: 10,
    snapshotEveryEntries: 10_000,
    snapshotEveryBytes: 64 * 1024 * 1024,
    snapshotBytesPerSecond: 16 * 1024 * 1024,
    trailingEntries: 2_000,
    maxEntryBytes: 1.5 * 1024 * 1024,
    maxPendingProposals: 10_000,
    maxUncommittedBytes: 8 * 1024 * 1024,
    maxPendingReads: 10_000,
    leaseReads: false,
    segmentBytes: 64 * 1024 * 1024,
    files: options.dir === undefined ? new MemoryFiles() : nodeFiles,
    bootstrap: undefined,
    ...withoutUndefined(options),
    dir: options.dir === undefined ? '/memory' : options.dir,
  }
  whole(resolved, 'id', 1, 2 ** 48 - 1)
  whole(resolved, 'tickMs', 1, 60_000)
  whole(resolved, 'electionTicks', 3, 10_000)
  whole(resolved, 'snapshotEveryEntries', 1, 1e9)
  whole(resolved, 'snapshotEveryBytes', 1, 2 ** 40)
  whole(resolved, 'snapshotBytesPerSecond', 1, 2 ** 40)
  whole(resolved, 'trailingEntries', 0, 1e9)
  whole(resolved, 'maxEntryBytes', 1, 8 * 1024 * 1024)
  whole(resolved, 'maxPendingProposals', 1, 1e7)
  whole(resolved, 'maxUncommittedBytes', 1, 2 ** 40)
  whole(resolved, 'maxPendingReads', 1, 1e7)
  whole(resolved, 'segmentBytes', 1, 2 ** 40)
  if (typeof resolved.leaseReads !== 'boolean') throw invalid('leaseReads', resolved.leaseReads, 'true or false')
  if (typeof resolved.clusterId !== 'string' || !/^[\w-]{1,19}$/.test(resolved.clusterId)) {
    throw invalid('clusterId', resolved.clusterId, '1 to 19 characters of [0-9A-Za-z_-]')
  }
  if (typeof resolved.dir !== 'string' || resolved.dir === '') throw invalid('dir', resolved.dir, 'the path of a directory')
  if (typeof resolved.random !== 'function') throw invalid('random', resolved.random, 'a function giving numbers in [0, 1)')
  for (const [name, methods] of Object.entries(parts)) part(resolved, name as keyof typeof parts, methods)
  return Object.freeze(resolved)
}

/** What the objects among the options must be able to do. */
const parts = {
  stateMachine: ['apply', 'applied', 'snapshot', 'restore'],
  transport: ['send'],
  clock: ['now', 'after', 'every'],
  files: ['makeDir', 'list', 'create', 'open', 'rename', 'remove', 'syncDir'],
} as const satisfies Partial<Record<keyof RaftRunnerOptions, readonly string[]>>

function part(options: object, name: keyof typeof parts, methods: readonly string[]): void {
  const got = (options as Readonly<Record<string, unknown>>)[name]
  const has = typeof got === 'object' && got !== null ? (got as Readonly<Record<string, unknown>>) : {}
  const missing = methods.find((method) => typeof has[method] !== 'function')
  if (missing !== undefined) throw invalid(name, got, `an object with a function ${missing}`)
}

/** An option given as undefined is an option not given. */
function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

function whole(options: object, name: keyof RaftRunnerOptions, from: number, to: number): void {
  const got: unknown = (options as Readonly<Record<string, unknown>>)[name]
  if (typeof got === 'number' && Number.isSafeInteger(got) && got >= from && got <= to) return
  throw invalid(name, got, `a whole number from ${from} to ${to}`)
}

function invalid(option: keyof RaftRunnerOptions, got: unknown, expected: string): SkeinError {
  return new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: expected ${expected}, got ${String(got)}`, { option, got })
}
