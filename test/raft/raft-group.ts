import { deferred } from '../../lib/base/deferred.js'
import { Raft, type RaftId, type RaftPeerOptions, type RaftTransport, type StateMachine } from '../../lib/raft/index.js'

export type Act = { readonly add: number } | { readonly boom: string }

/** A sum, and how often it was asked to change. */
export class SumMachine implements StateMachine<Act, number> {
  sum = 0
  calls = 0
  readonly codec = {
    encode: (act: Act) => Buffer.from(JSON.stringify(act)),
    decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as Act,
  }

  apply(act: Act): number {
    this.calls++
    if ('add' in act) this.sum += act.add
    return this.sum
  }

  snapshot(): Iterable<Uint8Array> {
    return [Buffer.from(String(this.sum))]
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = ''
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    this.sum = Number(text)
  }
}

export interface Member {
  readonly raft: Raft<Act, number>
  readonly machine: SumMachine
}

/** Peers in one process; frames travel by function calls that can be cut. */
export class Group {
  readonly #members = new Map<RaftId, Member>()
  readonly #cut = new Set<RaftId>()
  readonly #checks = new Set<() => void>()

  get members(): readonly Member[] {
    return [...this.#members.values()]
  }

  member(id: RaftId): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`no member ${id}`)
    return member
  }

  async start(id: RaftId, options: Partial<RaftPeerOptions<Act, number>> = {}): Promise<Member> {
    const machine = new SumMachine()
    const raft = await Raft.open({
      id,
      clusterId: 'sums',
      stateMachine: machine,
      transport: this.#transport(id),
      tickMs: 20,
      ...options,
    })
    const member = { raft, machine }
    this.#members.set(id, member)
    raft.observe(() => this.#look())
    raft.start()
    return member
  }

  async found(...ids: readonly RaftId[]): Promise<Member> {
    for (const id of ids) await this.start(id, { bootstrap: ids })
    return this.leader()
  }

  /** Resolves with who leads and is confirmed. */
  async leader(): Promise<Member> {
    for (;;) {
      await this.until(() => this.members.some(({ raft }) => raft.status().role === 'leader'))
      for (const member of this.members) {
        const isConfirmed = await member.raft.verifyLeader({ deadlineMs: 1_000 }).then(
          () => true,
          () => false, // somebody else leads, or will
        )
        if (isConfirmed) return member
      }
    }
  }

  cut(id: RaftId): void {
    this.#cut.add(id)
  }

  heal(id: RaftId): void {
    this.#cut.delete(id)
  }

  async stop(id: RaftId): Promise<void> {
    await this.member(id).raft.stop()
    this.#members.delete(id)
  }

  async end(): Promise<void> {
    for (const { raft } of this.members) await raft.stop()
  }

  /** Resolves when the claim holds; it is looked at whenever a frame arrives or news are told. */
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

  #look(): void {
    for (const check of [...this.#checks]) check()
  }

  #transport(from: RaftId): RaftTransport {
    const reach = (to: RaftId) => (this.#cut.has(from) || this.#cut.has(to) ? undefined : this.#members.get(to)?.raft)
    return {
      send: (to, frame) => {
        setImmediate(() => {
          reach(to)?.receive(from, frame)
          this.#look()
        })
        return true
      },
      sendSnapshotPiece: async (to, piece) => {
        const raft = reach(to)
        if (raft === undefined) throw new Error(`no link from ${from} to ${to}`)
        return await raft.receiveSnapshotPiece(from, piece)
      },
    }
  }
}
