/** A process that runs peers, as seen by the benchmark that orders it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { cpuMsOf } from '../raft/cluster.js'
import type { IdleOrder } from './idle-peers.js'

export class PeerProcess {
  readonly child: ChildProcess
  #nextTag = 1

  /** `execArgv`: Node's own flags. */
  constructor({
    execArgv = [],
    env = process.env,
  }: { readonly execArgv?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {}) {
    this.child = fork(fileURLToPath(new URL('./idle-peers.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: [...execArgv],
      env,
    })
  }

  async ask(order: IdleOrder): Promise<unknown> {
    const tag = this.#nextTag++
    this.child.send({ tag, order })
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.child.off('message', heard)
        this.child.off('exit', gone)
      }
      const gone = (): void => {
        over()
        reject(new Error(`${order.type}: its process ended`))
      }
      const heard = (message: { readonly tag: number; readonly answer?: unknown; readonly error?: string }): void => {
        if (message.tag !== tag) return
        over()
        if (message.error === undefined) resolve(message.answer)
        else reject(new Error(`${order.type}: ${message.error}`))
      }
      this.child.on('message', heard)
      this.child.once('exit', gone)
    })
  }

  /** Nodes that are ready, as its first peer, a manager, knows them. */
  async readyNodes(): Promise<number> {
    const states = (await this.ask({ type: 'nodes' })) as string[]
    return states.filter((state) => state === 'ready').length
  }

  /** Milliseconds of processor time so far; NaN where the system does not tell. */
  cpuMs(): number {
    return cpuMsOf([this.child.pid as number]) ?? Number.NaN
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    if (this.child.connected) this.child.disconnect()
    await ended
  }
}
