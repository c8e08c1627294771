/**
 * cli: argv becomes calls of the public API, answers become tables or JSON.
 *
 * May import: base, model, api, compose, peer, overlay (the demo's link faults). Must never know: how a verb is carried out; what lies in a data directory but `control.json`.
 * Only `main.ts` and the demo's `peer-process.ts` exit the process. What is heavy (links, disk, YAML) is imported by the command that needs it, so that `--help` is quick.
 * @module
 */
export { type ExitCode, exitCodeOf, exitCodes } from './exit-codes.js'
export { runCli } from './run.js'
export type { CliWorld, DemoOptions, PeerHandle, TextSink } from './world.js'
