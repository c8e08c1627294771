import { Argument, type Command } from 'commander'
import type { CertificateAuthority } from '../../api/types.js'
import { SkeinError } from '../../base/errors.js'
import type { NodeRole } from '../../model/node.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { dataDir, type Session } from '../session.js'

export function addSecurityCommands(program: Command, act: Act): void {
  const role = new Argument('<role>', 'whose join token').choices(['worker', 'manager'])
  const token = program.command('token').description('join tokens')
  addSharedOptions(
    token.command('rotate').description('revoke a join token and print the join string with the next one').addArgument(role),
  ).action(act(rotateToken))
  token.command('new').description('print a new founding token, for skein up --expect; it asks no cluster').action(act(newToken))
  const ca = program.command('ca').description("the cluster's certificate authority")
  addSharedOptions(ca.command('show').description('its roots, and whom a rotation waits for')).action(act(showRoots))
  addSharedOptions(ca.command('rotate').description('make a new root; every node renews by itself')).action(act(rotateRoot))
  const passphrase = 'the passphrase is SKEIN_PASSPHRASE, or the first line of stdin'
  addDirCommand(program, 'lock', `seal the keys of a stopped peer with a passphrase; ${passphrase}`).action(act(lock))
  addDirCommand(program, 'unlock', `take the passphrase off the keys of a stopped peer; ${passphrase}`).action(act(unlock))
}

function addDirCommand(program: Command, name: string, words: string): Command {
  return program
    .command(name)
    .description(words)
    .option('--dir <dir>', 'data directory of a peer that does not run (env SKEIN_DIR, default ./.skein)')
}

async function newToken(session: Session): Promise<ExitCode> {
  const { makeFoundingToken } = await import('../../security/join-token.js')
  const token = makeFoundingToken()
  session.output.value({ token }, token, token)
  return exitCodes.done
}

async function rotateToken(session: Session, role: NodeRole): Promise<ExitCode> {
  const join = await (await session.cluster()).tokens.rotate(role, session.call)
  session.output.value({ role, join }, join, join)
  return exitCodes.done
}

async function showRoots(session: Session): Promise<ExitCode> {
  return say(session, await (await session.cluster()).ca.show(session.call))
}

async function rotateRoot(session: Session): Promise<ExitCode> {
  return say(session, await (await session.cluster()).ca.rotate(session.call))
}

function say(session: Session, authority: CertificateAuthority): ExitCode {
  const [first] = authority.roots
  const lines = authority.roots.map(
    ({ digest, state, notAfter }, at) =>
      `${at === 0 ? '★ issues ' : `○ ${state}`.padEnd(9)} ${digest}  until ${notAfter.toISOString().slice(0, 10)}`,
  )
  const { waitingFor } = authority
  if (waitingFor.length > 0) lines.push(`rotating: ${waitingFor.length} nodes have not renewed yet: ${waitingFor.join(' ')}`)
  session.output.value(authority, lines.join('\n'), first?.digest ?? '')
  return exitCodes.done
}

async function lock(session: Session): Promise<ExitCode> {
  const dir = dataDir(session.world, session.options)
  const { lockPeerDir } = await import('../../peer/lock.js')
  await lockPeerDir(dir, await passphraseOf(session))
  session.output.value({ dir, locked: true }, `the keys in ${dir} are locked; start the peer with SKEIN_PASSPHRASE set`, dir)
  return exitCodes.done
}

async function unlock(session: Session): Promise<ExitCode> {
  const dir = dataDir(session.world, session.options)
  const { unlockPeerDir } = await import('../../peer/lock.js')
  await unlockPeerDir(dir, await passphraseOf(session))
  session.output.value({ dir, locked: false }, `the keys in ${dir} lie open again`, dir)
  return exitCodes.done
}

async function passphraseOf({ world }: Session): Promise<string> {
  const { SKEIN_PASSPHRASE = '' } = world.env
  if (SKEIN_PASSPHRASE !== '') return SKEIN_PASSPHRASE
  const [line = ''] = Buffer.from(await world.readStdin())
    .toString()
    .split(/\r?\n/)
  if (line !== '') return line
  throw new SkeinError('ERR_SKEIN_INVALID_OPTION', 'passphrase: set SKEIN_PASSPHRASE, or give it on stdin', {
    option: 'passphrase',
  })
}
