#!/usr/bin/env node
import { runCli } from './run.js'
import { systemCliWorld } from './system.js'

const code = await runCli(process.argv.slice(2), systemCliWorld())
// What was written must be out before the process is: pipes may still hold it.
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve))
process.exit(code)
