import { messageOf, SkeinError } from '../base/errors.js'
import type { CliWorld } from './world.js'

/** What a program may ask of a failure: the code of the table in `base/errors`, or UNEXPECTED for what has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'
}

/** Says what went wrong: words on stderr, and as the one JSON value on stdout when JSON was asked for. */
export function sayFailure(world: CliWorld, error: unknown, format: 'text' | 'json'): void {
  world.stderr.write(`✖ ${codeOf(error)}: ${messageOf(error)}\n`)
  const stack =
    error instanceof Error && !(error instanceof SkeinError) && world.env.DEBUG !== undefined ? error.stack : undefined
  if (stack !== undefined) world.stderr.write(`${stack}\n`)
  if (format === 'json') writeJsonFailure(world, codeOf(error), messageOf(error))
}

export function writeJsonFailure(world: CliWorld, code: string, message: string): void {
  world.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`)
}
