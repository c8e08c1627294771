import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { PeerOptions } from '../../lib/index.js'
import type { Ready } from '../chaos/peer-process.js'
import type { ClockJump } from '../chaos/shiftable-clock.js'
import { freshDir, quick, type Teardown } from './support.js'

const peerFile = fileURLToPath(new URL('../chaos/peer-process.js', import.meta.url))

/** A peer as a process of its own, which can sleep. */
export class Laptop {
  readonly ready: Ready
  /** What it logged. */
  readonly words: string[]
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>

  private constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, ready: Ready, words: string[]) {
    this.#child = child
    this.ready = ready
    this.words = words
  }

  static async start(t: Teardown, options: PeerOptions): Promise<Laptop> {
    const child = spawn(
      process.execPath,
      [peerFile, JSON.stringify({ timing: quick, name: 'laptop', dir: freshDir(t), ...options })],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, DEBUG: 'skein:info,skein:warn,skein:error', DEBUG_COLORS: '0' },
      },
    )
    t.teardown(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
    const words: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => words.push(line))
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error(`the laptop ended: ${words.join('\n')}`))),
    ])) as [string]
    return new Laptop(child, JSON.parse(line) as Ready, words)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  goOn(): void {
    this.#child.kill('SIGCONT')
  }

  jump(jump: ClockJump): void {
    this.#child.stdin.write(`${JSON.stringify(jump)}\n`)
  }
}
