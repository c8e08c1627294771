import { readFileSync } from 'node:fs'
import type { WriteStream } from 'node:tty'
import { readStreamAtMost } from '../compose/read-at-most.js'
import { systemClock, systemRandom } from '../peer/system-world.js'
import { packageFile } from './package-files.js'
import type { CliWorld, TextSink } from './world.js'

type Heard = Parameters<CliWorld['onSignal']>[0]

/** npm passes a Ctrl-C on that the terminal has sent to everybody already: within this time it is the same one. */
const sameSignalMs = 250
/** Far more than any command takes: a flood on stdin is not read for ever. */
const stdinMaxBytes = 16 * 1024 * 1024

/** The command line's real world. What is heavy is imported when a command first asks for it. */
export function systemCliWorld(): CliWorld {
  const listeners = new Set<Heard>()
  let count = 0
  let lastMs = Number.NEGATIVE_INFINITY
  const hear = (signal: 'SIGINT' | 'SIGTERM'): void => {
    const nowMs = systemClock.now()
    if (nowMs - lastMs < sameSignalMs) return
    lastMs = nowMs
    count += 1
    for (const heard of [...listeners]) heard(signal, count)
  }
  process.on('SIGINT', () => hear('SIGINT'))
  process.on('SIGTERM', () => hear('SIGTERM'))
  // Nobody reads any more (`| head`): end as if told to, rather than die in the middle of a write.
  process.stdout.on('error', () => hear('SIGTERM'))
  process.stderr.on('error', () => undefined) // words nobody reads keep nothing from going on
  return {
    version: packageVersion(),
    pid: process.pid,
    cwd: process.cwd(),
    env: process.env,
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    clock: systemClock,
    random: systemRandom,
    readStdin: () => readStreamAtMost(process.stdin, stdinMaxBytes),
    onSignal(heard) {
      listeners.add(heard)
      return () => void listeners.delete(heard)
    },
    connect: async (url, o) => (await import('../peer/client.js')).connect(url, o),
    createPeer: async (options) => (await import('../peer/peer.js')).createPeer(options),
    runDemo: async (options) => (await import('./demo.js')).runDemo(options),
  }
}

/** Ends this process. What was written must be out before: pipes may still hold it. */
export async function exitWith(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write('', resolve))
  process.exit(code)
}

function sinkOf(stream: NodeJS.WriteStream | WriteStream): TextSink {
  return {
    write: (text) => void stream.write(text),
    get isTTY() {
      return stream.isTTY === true // undefined when it is a file or a pipe, whatever its type says
    },
    get columns() {
      return stream.columns as number | undefined
    },
    get rows() {
      return stream.rows as number | undefined
    },
  }
}

function packageVersion(): string {
  const content: unknown = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'))
  return typeof content === 'object' && content !== null && 'version' in content ? String(content.version) : 'unknown'
}
