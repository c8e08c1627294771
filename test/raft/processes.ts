/** Raft peers as real processes, for tests that stop or stall them; the parent is the network between them. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { deferred } from '../../lib/base/deferred.js'
import type { Ask, Tell } from './lease-peer.js'

export type Answer = Extract<Tell, { type: 'answer' }>
type Role = Extract<Tell, { type: 'role' }>
type Unasked = Ask extends infer One ? (One extends { ask: number } ? Omit<One, 'ask'> : never) : never

const program = fileURLToPath(new URL('lease-peer.js', import.meta.url))
export const ids = [1, 2, 3]

/** Three processes; the parent is the network between them. */
export class Processes {
  readonly #children = new Map<number, ChildProcess>()
  readonly #roles = new Map<number, Role>()
  readonly #waiting = new Set<() => void>()
  readonly #answers = new Map<number, (answer: Answer) => void>()
  readonly #cut = new Set<number>()
  #asked = 0

  constructor(t: Test, clockName: 'honest' | 'dreaming') {
    for (const id of ids) {
      const child = fork(program, [String(id), ids.join(), clockName])
      this.#children.set(id, child)
      child.on('message', (message: Tell) => this.#heard(id, message))
    }
    t.teardown(() => this.#end())
  }

  send(id: number, message: Ask): void {
    // Frames for one that has ended are lost; whoever asked it something waits in vain.
    this.#children.get(id)?.send(message, () => {})
  }

  ask(id: number, message: Unasked): Promise<Answer> {
    const ask = ++this.#asked
    const { promise, resolve } = deferred<Answer>()
    this.#answers.set(ask, resolve)
    this.send(id, { ...message, ask } as Ask)
    return promise
  }

  signal(id: number, name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#children.get(id)?.kill(name)
  }

  cut(id: number): void {
    this.#cut.add(id)
  }

  heal(): void {
    this.#cut.clear()
  }

  /** Who leads in a term above this one, once it says so. */
  async leader(above = 0): Promise<Role & { readonly id: number }> {
    const { promise, resolve } = deferred<Role & { readonly id: number }>()
    const look = () => {
      for (const [id, role] of this.#roles) if (role.isLeader && role.term > above) resolve({ ...role, id })
    }
    this.#waiting.add(look)
    look()
    return promise
  }

  /** Reads by lease until one was answered so: promises have come in. */
  async leased(id: number): Promise<Answer> {
    for (;;) {
      const answer = await this.ask(id, { type: 'read', consistency: 'lease', deadlineMs: 5_000 })
      if (answer.readsByLease > 0) return answer
    }
  }

  #heard(id: number, message: Tell): void {
    if (message.type === 'frame') {
      if (!this.#cut.has(id) && !this.#cut.has(message.to)) this.send(message.to, { ...message, from: id })
    } else if (message.type === 'answer') this.#answers.get(message.ask)?.(message)
    else {
      this.#roles.set(id, message)
      for (const look of [...this.#waiting]) look()
    }
  }

  async #end(): Promise<void> {
    for (const child of this.#children.values()) {
      const { promise, resolve } = deferred<void>()
      child.once('exit', () => resolve())
      child.kill('SIGKILL')
      await promise
    }
  }
}
