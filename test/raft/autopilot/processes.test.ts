import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { deferred } from '../../../lib/base/deferred.js'
import type { Ask, MemberOptions, Tell } from './member-process.js'

const program = fileURLToPath(new URL('member-process.js', import.meta.url))

/** Processes with a network between them: this one. */
class Processes {
  readonly #children = new Map<number, ChildProcess>()
  readonly #checks = new Set<() => void>()
  #answer = deferred<number>()
  leader = 0
  #term = 0
  voters: readonly number[] = []
  learners: readonly number[] = []

  start(options: MemberOptions): void {
    const { id } = options
    const child = fork(program, [JSON.stringify(options)])
    this.#children.set(id, child)
    child.on('message', (message: Tell) => {
      if (message.type === 'frame') this.#send(message.to, { type: 'frame', from: id, frame: message.frame })
      else this.#hear(id, message)
      for (const check of [...this.#checks]) check()
    })
  }

  #hear(from: number, message: Exclude<Tell, { type: 'frame' }>): void {
    if (message.type === 'answer') this.#answer.resolve(message.value)
    if (message.type === 'leads' && message.term > this.#term) [this.leader, this.#term] = [from, message.term]
    if (message.type === 'members' && from === this.leader) ({ voters: this.voters, learners: this.learners } = message)
  }

  /** What the leader answers. */
  ask(ask: Exclude<Ask, { type: 'frame' }>): Promise<number> {
    this.#answer = deferred()
    this.#send(this.leader, ask)
    return this.#answer.promise
  }

  async kill(id: number): Promise<void> {
    const child = this.#children.get(id)
    this.#children.delete(id)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async end(): Promise<void> {
    await Promise.all([...this.#children.keys()].map((id) => this.kill(id)))
  }

  until(claim: () => boolean): Promise<void> {
    const { promise, resolve } = deferred()
    const check = (): void => {
      if (!claim()) return
      this.#checks.delete(check)
      resolve()
    }
    this.#checks.add(check)
    check()
    return promise
  }

  #send(to: number, ask: Ask): void {
    // Whoever is gone hears nothing; the error says that its channel closed meanwhile.
    this.#children.get(to)?.send(ask, () => undefined)
  }
}

async function fiveMembers(t: Test): Promise<Processes> {
  const dir = t.testdir()
  const processes = new Processes()
  t.teardown(() => processes.end())
  const bootstrap = [1, 2, 3]
  for (const id of bootstrap) processes.start({ id, dir: join(dir, String(id)), bootstrap })
  for (const id of [4, 5]) processes.start({ id, dir: join(dir, String(id)) })
  await processes.until(() => processes.leader !== 0)
  for (const id of [4, 5]) await processes.ask({ type: 'add-learner', id })
  return processes
}

t.test(
  'real processes: a voter is killed for ever, a learner takes its place, and then another',
  { timeout: 60_000 },
  async (t) => {
    const group = await fiveMembers(t)
    t.equal(await group.ask({ type: 'add', add: 1 }), 1)
    for (const [round, spare] of [1, 0].entries()) {
      const lost = group.voters.find((id) => id !== group.leader) as number
      await group.kill(lost)
      await group.until(() => group.voters.length === 3 && !group.voters.includes(lost))
      t.equal(group.learners.length, spare)
      t.equal(await group.ask({ type: 'add', add: 1 }), round + 2, 'writes went on')
    }
  },
)

t.test('real processes: the leader is killed for ever, and its successor fills the place', { timeout: 60_000 }, async (t) => {
  const group = await fiveMembers(t)
  const lost = group.leader
  await group.kill(lost)
  await group.until(() => group.leader !== lost)
  await group.until(() => group.voters.length === 3 && !group.voters.includes(lost))
  t.equal(group.learners.length, 1)
  t.equal(await group.ask({ type: 'add', add: 1 }), 1)
})
