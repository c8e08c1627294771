import { type Command, Option } from 'commander'
import { allOptions } from '../command.js'
import type { CliWorld } from '../world.js'

export function addDemoCommand(program: Command, world: CliWorld, finish: (code: number) => void): void {
  program
    .command('demo')
    .description('five real processes form a cluster on this machine, run a service, and heal while you kill them')
    .option('--script', 'play the story unattended and check it')
    .option('--keep', 'leave its directory behind')
    .addOption(new Option('--format <format>', 'how to print (default text)').choices(['text', 'json']))
    .action(async (_options: unknown, command: Command) => {
      const {
        script = false,
        keep = false,
        format,
      } = allOptions(command) as { script?: boolean; keep?: boolean; format?: string }
      finish(await world.runDemo({ script, keep, format: format === 'json' ? 'json' : 'text' }))
    })
}
