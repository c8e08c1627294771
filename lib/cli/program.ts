import { Command } from 'commander'
import { actIn, addSharedOptions, ownFlagsFirst } from './command.js'
import { addClusterCommands } from './commands/cluster.js'
import { addDemoCommand } from './commands/demo.js'
import { addKvCommands } from './commands/kv.js'
import { addNetworkCommands } from './commands/network.js'
import { addNodeCommands } from './commands/node.js'
import { addPayloadCommands } from './commands/payload.js'
import { addRaftCommands } from './commands/raft.js'
import { addSecurityCommands } from './commands/security.js'
import { addServiceCommands } from './commands/service.js'
import { addStackCommands } from './commands/stack.js'
import { addTaskCommands } from './commands/task.js'
import { addUpCommand } from './commands/up.js'
import { exitCodeHelp } from './exit-codes.js'
import type { CliWorld } from './world.js'

/** The whole command line, ready to parse; `finish` hears the exit code of the command that ran. */
export function buildProgram(world: CliWorld, finish: (code: number) => void): Command {
  const program = new Command('skein')
    .description('Processes form a cluster and run services: Raft managers, replicated services, workers.')
    .version(world.version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => world.stdout.write(text), writeErr: (text) => world.stderr.write(text) })
    .showHelpAfterError('(add --help for the usage)')
    .configureHelp(ownFlagsFirst)
    .addHelpText('after', exitCodeHelp)
  // Inherited by every subcommand made after it; lets `skein --format json node ls` and `skein node ls --format json` mean the same.
  program.enablePositionalOptions()
  addSharedOptions(program)
  const act = actIn(world, finish)
  addDemoCommand(program, world, finish)
  addUpCommand(program, world, finish)
  addClusterCommands(program, act)
  addNodeCommands(program, act)
  addServiceCommands(program, act)
  addStackCommands(program, act)
  addTaskCommands(program, act)
  addKvCommands(program, act)
  addPayloadCommands(program, act)
  addNetworkCommands(program, act)
  addSecurityCommands(program, act)
  addRaftCommands(program, act)
  return program
}
