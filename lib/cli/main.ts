#!/usr/bin/env node
import { runCli } from './run.js'
import { exitWith, systemCliWorld } from './system.js'

await exitWith(await runCli(process.argv.slice(2), systemCliWorld()))
