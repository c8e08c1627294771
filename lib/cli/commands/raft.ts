import { basename, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { DumpLine, DumpOptions, RaftDirReport } from '../../peer/raft-dir.js'
import type { RaftDirRecovery } from '../../peer/raft-recovery.js'
import type { Act } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { count } from '../flags.js'
import { memory, printable } from '../print.js'
import type { Session } from '../session.js'

export function addRaftCommands(program: Command, act: Act): void {
  const raft = program.command('raft').description("a stopped manager's raft log, offline")
  const add = (usage: string, words: string): Command =>
    raft
      .command(usage)
      .description(words)
      .argument('<dir>', 'data directory of a manager that does not run')
      .addOption(new Option('--format <format>', 'how to print (default table)').choices(['table', 'json', 'jsonl']))
  add('verify', 'check every record of every segment and snapshot; exit 1 when a peer could not start on it').action(act(verify))
  add('dump', 'print what each record says, one line each; SKEIN_PASSPHRASE opens what a locked manager wrote')
    .option('--from <index>', 'only entries from this index on', count)
    .option('--to <index>', 'only entries up to this index', count)
    .action(act(dump))
  add(
    'recover',
    'when the majority of managers is lost for ever: let this one go on alone (without --yes only say what that does)',
  )
    .option('--yes', 'do it')
    .action(act(recover))
}

async function verify(session: Session, dir: string): Promise<ExitCode> {
  const { verifyRaftDir } = await import('../../peer/raft-dir.js')
  const report = await verifyRaftDir(resolve(session.world.cwd, dir))
  session.output.value(report, verifyText(report), report.dir)
  return report.damage.length === 0 ? exitCodes.done : exitCodes.failed
}

function verifyText({ dir, segments, snapshots, hardState, lastIndex, damage }: RaftDirReport): string {
  const lines = [`log in ${dir}`]
  for (const { file, records, entries, first, last, sizeBytes, tail } of segments) {
    const range =
      first === undefined || last === undefined
        ? 'no entries'
        : `${entries} entries, ${first.index} (term ${first.term}) to ${last.index} (term ${last.term})`
    const words = tail === 'torn' ? 'torn: the last write was cut short, never acknowledged; the next start takes it off' : tail
    lines.push(
      `  ${tail === 'damaged' ? '✖' : '✔'} ${basename(file)}  ${records} records, ${range}, ${memory(sizeBytes)}, ${words}`,
    )
  }
  for (const { index, term, state, chunks, sizeBytes } of snapshots) {
    lines.push(`  ○ snapshot at ${index} (term ${term})  ${state}, ${chunks} chunks, ${memory(sizeBytes)}`)
  }
  if (hardState !== undefined) {
    const { term, vote, commit } = hardState
    lines.push(`term ${term}, voted for ${vote === 0 ? 'nobody' : vote}, committed ${commit}, last entry ${lastIndex}`)
  }
  for (const { file, offset, why, lost, remedy } of damage) {
    lines.push(`✖ ${file}${offset === undefined ? '' : ` at offset ${offset}`}: ${why}`)
    lines.push(`  lost: ${lost}`, `  remedy: ${remedy}`)
  }
  if (damage.length === 0) lines.push('✔ a peer can start on it')
  return lines.join('\n')
}

async function dump(session: Session, dir: string, range: DumpOptions): Promise<ExitCode> {
  const { dumpRaftDir } = await import('../../peer/raft-dir.js')
  const lines = await dumpRaftDir(resolve(session.world.cwd, dir), { ...range, ...passphraseOf(session) })
  if (session.output.options.format === 'json') session.output.value(lines, '', '')
  else for (const line of lines) session.output.line(line, dumpText(line))
  const sealed = lines.filter(({ type }) => type === 'sealed')
  if (sealed.length > 0) session.output.say(`${sealed.length} commands are sealed; to open them ${sealed[0]?.remedy}`)
  return exitCodes.done
}

/** Of the keys in the directory, where one seals them. */
function passphraseOf({ world }: Session): { readonly passphrase?: string } {
  const { SKEIN_PASSPHRASE: passphrase = '' } = world.env
  return passphrase === '' ? {} : { passphrase }
}

interface RecoverFlags {
  readonly yes?: boolean
}

async function recover(session: Session, dir: string, { yes = false }: RecoverFlags): Promise<ExitCode> {
  const { planRaftDirRecovery, recoverRaftDir } = await import('../../peer/raft-recovery.js')
  const path = resolve(session.world.cwd, dir)
  const report = await (yes ? recoverRaftDir : planRaftDirRecovery)(path, passphraseOf(session))
  session.output.value(report, recoverText(report), report.dir)
  return exitCodes.done
}

/** Entries told one by one; of more only the number. */
const tailLinesMax = 20

function recoverText({ dir, id, clusterId, members, removed, managers, ...log }: RaftDirRecovery): string {
  const { commitIndex, lastIndex, term, becomesCommitted, state } = log
  const isDone = state === 'done'
  const lines = [
    `log in ${dir}: raft id ${id} of cluster ${clusterId}`,
    `voters ${members.voters.join(' ')}${members.learners.length === 0 ? '' : `, learners ${members.learners.join(' ')}`}`,
    `${isDone ? 'removed' : 'to be removed'} for ever: raft ids ${removed.join(' ')}`,
  ]
  for (const { name, node, address, raftId } of managers) {
    lines.push(printable(`  manager ${name} (${node}) at ${address}, raft id ${raftId ?? 'none'}`))
  }
  lines.push(`entries up to ${commitIndex} are known to be committed; the log ends at ${lastIndex}`)
  if (becomesCommitted.length > 0) {
    lines.push(`${becomesCommitted.length} more ${isDone ? 'became' : 'become'} committed, whether or not a majority had them:`)
    for (const line of becomesCommitted.slice(0, tailLinesMax)) lines.push(`  ${dumpText(line)}`)
    if (becomesCommitted.length > tailLinesMax) lines.push(`  and ${becomesCommitted.length - tailLinesMax} more`)
  }
  lines.push('what only the lost managers had is gone')
  if (isDone) {
    lines.push(
      `✔ raft id ${id} is the only voter, from term ${term} on. Start this manager, then let new ones join from empty directories;`,
      '  never start a removed one again on its old directory',
    )
  } else {
    lines.push(
      `nothing was changed. Only if the others are lost for ever: the same with --yes makes raft id ${id} the only voter, in term ${term}`,
    )
  }
  return lines.join('\n')
}

function dumpText({
  file,
  offset,
  type,
  index,
  term,
  sizeBytes,
  replaced,
  ops,
  change,
  vote,
  commit,
  voters,
  learners,
}: DumpLine): string {
  const words = [`${basename(file)}:${offset}`]
  if (index !== undefined) words.push(String(index))
  if (term !== undefined) words.push(`term ${term}`)
  words.push(type)
  if (sizeBytes !== undefined) words.push(`${sizeBytes} B`)
  if (vote !== undefined) words.push(`vote ${vote}`, `commit ${commit}`)
  if (voters !== undefined) words.push(`voters ${voters.join(' ')}`)
  if (learners !== undefined && learners.length > 0) words.push(`learners ${learners.join(' ')}`)
  if (change !== undefined) words.push(change)
  if (ops !== undefined) words.push(ops.join('; '))
  if (replaced === true) words.push('(replaced later)')
  return printable(words.join('  '))
}
