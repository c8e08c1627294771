import { type ReadFile, readAtMost } from '../compose/read-at-most.js'
import type { Session } from './session.js'

/** After this a command says what it waits for. */
const patienceMs = 2_000

/** How a command reads a file it was given: a pipe or a terminal is waited for, not in silence, and not beyond Ctrl-C or `--timeout`. */
export function fileReader({ world, output, signal }: Session): ReadFile {
  return async (file, bytesMax) => {
    const sayWaiting = (): void =>
      output.say(`waiting for ${file}: it is a pipe or a terminal, and not at its end; Ctrl-C gives up`)
    const cancel = world.clock.after(patienceMs, sayWaiting)
    try {
      return await readAtMost(file, bytesMax, signal)
    } finally {
      cancel()
    }
  }
}
