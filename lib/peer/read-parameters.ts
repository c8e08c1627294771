/** What came over a link, read with suspicion. */
import * as v from 'valibot'
import { SkeinError } from '../base/errors.js'

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function read<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const path = v.getDotPath(result.issues[0]) ?? 'parameters'
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: ${result.issues[0].message}`, { path })
}
