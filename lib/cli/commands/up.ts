import { type Command, Option } from 'commander'
import { deferred } from '../../base/deferred.js'
import { messageOf } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { debugLogger } from '../../peer/logger.js'
import type { PeerOptions } from '../../peer/options.js'
import { allOptions } from '../command.js'
import { exitCodes } from '../exit-codes.js'
import { sayFailure } from '../failure.js'
import { count, hostPort, listenAt, pair } from '../flags.js'
import { dataDir } from '../session.js'
import type { CliWorld, PeerHandle } from '../world.js'

interface UpOptions {
  readonly dir?: string
  readonly listen?: string
  readonly advertise?: string
  readonly join?: string
  readonly name?: string
  readonly label?: Readonly<Record<string, string>>
  readonly availability?: 'active' | 'pause' | 'drain'
  readonly managers?: number
  readonly datagrams: boolean
  readonly expect?: number
  readonly format?: string
}

export function addUpCommand(program: Command, world: CliWorld, finish: (code: number) => void): void {
  program
    .command('up')
    .description('run a peer here until it is told to stop: it comes back from its directory, else joins, else founds a cluster')
    .option('--dir <dir>', 'where its votes, log and keys live (env SKEIN_DIR, default ./.skein)')
    .option(
      '--listen <host:port>',
      'where links arrive; port 0 takes a free one (default 127.0.0.1:0); none: a worker that only dials out',
      listenAt,
    )
    .option('--advertise <host:port>', 'where others reach it (default: where it listens)', hostPort)
    .option('--join <string>', 'join string of a cluster, skein://TOKEN@host:port (env SKEIN_JOIN)')
    .option('--expect <number>', 'identical peers that found the cluster together; needs --join with a founding token', count)
    .option('--name <name>', "unique in the cluster (default: the host's name with a random ending)")
    .option('--label <key=value>', 'label of the node; may be repeated', pair)
    .addOption(new Option('--availability <state>', 'for tasks (default active)').choices(['active', 'pause', 'drain']))
    .option('--managers <number>', 'voters to keep among the managers, the others are spare (default: all vote)', count)
    .option('--no-datagrams', 'links only, no UDP on the port it listens on')
    .addOption(new Option('--format <format>', 'json: one JSON object a line').choices(['table', 'json', 'jsonl']))
    .addHelpText(
      'after',
      '\nWith SKEIN_PASSPHRASE its keys are sealed by that passphrase. It exits 0 when it was told to stop and stopped, 1 when it could not start or failed. A second Ctrl-C stops at once.',
    )
    .action(async (_options: unknown, command: Command) => finish(await up(world, allOptions(command) as UpOptions)))
}

async function up(world: CliWorld, options: UpOptions): Promise<number> {
  const format = options.format === 'json' || options.format === 'jsonl' ? 'json' : 'text'
  const told = deferred<'SIGINT' | 'SIGTERM'>()
  const starting = new AbortController()
  const forget = world.onSignal((signal) => {
    told.resolve(signal)
    starting.abort()
  })
  try {
    const dir = dataDir(world, options)
    const peer = await world.createPeer(peerOptions(world, options, dir, starting.signal))
    await sayReady(world, peer, dir, format)
    const first = await Promise.race([told.promise, peer.ended.then((error) => ({ error }))])
    if (typeof first === 'object') {
      if (first.error !== undefined) return failed(world, first.error, format)
    } else {
      world.stderr.write(`${first}: stopping; once more to stop at once\n`)
      await peer.stop()
    }
    if (format === 'json') world.stdout.write(`${JSON.stringify({ event: 'stopped', id: peer.id })}\n`)
    return exitCodes.done
  } catch (error) {
    if (starting.signal.aborted) return exitCodes.interrupted // it was stopped before it had begun
    return failed(world, error, format)
  } finally {
    forget()
  }
}

function peerOptions(world: CliWorld, options: UpOptions, dir: string, signal: AbortSignal): PeerOptions {
  const { SKEIN_PASSPHRASE: passphrase } = world.env
  const join = options.join ?? (world.env.SKEIN_JOIN === '' ? undefined : world.env.SKEIN_JOIN)
  return {
    dir,
    signal,
    logger: warningsTo(world),
    ...(join === undefined ? {} : { join }),
    ...(passphrase === undefined || passphrase === '' ? {} : { passphrase }),
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.advertise === undefined ? {} : { advertise: options.advertise }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.label === undefined ? {} : { labels: options.label }),
    ...(options.availability === undefined ? {} : { availability: options.availability }),
    ...(options.expect === undefined ? {} : { expect: options.expect }),
    ...(options.managers === undefined ? {} : { managers: options.managers }),
    ...(options.datagrams ? {} : { datagrams: false }),
  }
}

/** Warnings are for whoever looks on: a peer that waits says for what. */
function warningsTo(world: CliWorld): Logger {
  const debug = debugLogger()
  const warn: Logger['warn'] = (o, msg) => {
    debug.warn(o, msg)
    world.stderr.write(`warning: ${msg}\n`)
  }
  return { ...debug, warn }
}

/** The first line: what others need to reach this peer. A manager adds the strings to join by. */
async function sayReady(world: CliWorld, peer: PeerHandle, dir: string, format: 'text' | 'json'): Promise<void> {
  const { id, name, address, role } = peer
  const { cluster } = peer.status()
  const invite = role === 'manager' ? await joinStrings(world, peer) : undefined
  if (format === 'json') {
    const ready = {
      event: 'ready',
      id,
      name,
      address,
      role,
      cluster,
      pid: world.pid,
      ...(invite === undefined ? {} : { invite }),
    }
    world.stdout.write(`${JSON.stringify(ready)}\n`)
    return
  }
  const lines = [
    `✔ ${name} (${id}) is a ${role} of cluster ${cluster} ${address === '' ? 'that only dials out' : `at ${address}`}, pid ${world.pid}`,
  ]
  if (invite !== undefined) {
    lines.push(`  another manager:  skein up --dir DIR --join ${invite.manager}`)
    lines.push(`  a worker:         skein up --dir DIR --join ${invite.worker}`)
  }
  lines.push(`  ask it:           skein status --dir ${dir}`)
  world.stdout.write(`${lines.join('\n')}\n`)
}

async function joinStrings(
  world: CliWorld,
  peer: PeerHandle,
): Promise<{ readonly manager: string; readonly worker: string } | undefined> {
  try {
    return { manager: await peer.invite('manager'), worker: await peer.invite('worker') }
  } catch (error) {
    // Back from its directory before the others are: it runs, and can be asked for the strings later.
    world.stderr.write(`no join strings yet: ${messageOf(error)}; later: skein invite manager\n`)
    return undefined
  }
}

/** Every failure of a peer exits 1, whatever its code. */
function failed(world: CliWorld, error: unknown, format: 'text' | 'json'): number {
  sayFailure(world, error, format)
  return exitCodes.failed
}
