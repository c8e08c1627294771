import { Argument, type Command } from 'commander'
import type { Status } from '../../api/types.js'
import type { NodeRole } from '../../model/node.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import type { Session } from '../session.js'

export function addClusterCommands(program: Command, act: Act): void {
  addSharedOptions(program.command('status').description('the cluster as the asked peer sees it')).action(act(status))
  const role = new Argument('<role>', 'of the machine that joins').choices(['worker', 'manager'])
  addSharedOptions(program.command('invite').description('print the join string for the next machine').addArgument(role)).action(
    act(invite),
  )
}

async function status(session: Session): Promise<ExitCode> {
  const answer = await (await session.cluster()).clusterStatus(session.call)
  if (answer.stale) session.output.sayStale()
  session.output.value(answer, statusText(answer), answer.cluster)
  return exitCodes.done
}

function statusText(status: Status): string {
  const { quorum } = status
  const has = quorum.reachable * 2 > quorum.voters
  const leader = status.leader === undefined ? '✖ none known' : `★ ${status.leaderName ?? status.leader} (${status.leader})`
  const rows = [
    ['cluster', status.cluster],
    ['asked', `${status.name} (${status.node}), ${status.role}${status.leading ? ', leads' : ''}`],
    ['leader', `${leader}, term ${status.term}`],
    ['quorum', `${has ? '✔' : '✖'} ${quorum.reachable} of ${quorum.voters} managers reachable, may lose ${quorum.mayLose}`],
    ['log', `committed ${status.commitIndex}, applied ${status.appliedIndex}`],
  ] as const
  return rows.map(([name, value]) => `${name.padEnd(8)} ${value}`).join('\n')
}

async function invite(session: Session, role: NodeRole): Promise<ExitCode> {
  const join = await (await session.cluster()).invite(role, session.call)
  session.output.value({ role, join }, join, join)
  if (!session.output.options.quiet && session.output.options.format === 'table') {
    session.output.say('Whoever has this string can join. On the next machine: skein up --join THE-STRING')
  }
  return exitCodes.done
}
