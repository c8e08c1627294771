import { messageOf } from '../../base/errors.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import type { Session } from '../session.js'

/** Removes each in turn; what fails does not keep the others, and the first failure is the command's. */
export async function removeEach(
  session: Session,
  refs: readonly string[],
  remove: (ref: string) => Promise<void>,
): Promise<ExitCode> {
  const removed: string[] = []
  const failures: unknown[] = []
  for (const ref of refs) {
    try {
      await remove(ref)
      removed.push(ref)
    } catch (error) {
      if (session.signal.aborted) throw error
      failures.push(error)
    }
  }
  if (failures.length > 0) {
    for (const ref of removed) session.output.say(`${ref} was removed`)
    for (const failure of failures.slice(1)) session.output.say(`✖ ${messageOf(failure)}`)
    throw failures[0]
  }
  session.output.value({ removed }, removed.join('\n'), removed.join('\n'))
  return exitCodes.done
}
