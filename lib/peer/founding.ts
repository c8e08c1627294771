/** Carries out a founding by several: asks who is there, and does what the core says. */
import { randomBytes } from 'node:crypto'
import { backoffMs } from '../base/backoff.js'
import type { Clock } from '../base/clock.js'
import { type Deferred, deferred } from '../base/deferred.js'
import { isSkeinError, messageOf, SkeinError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { below, type Random } from '../base/random.js'
import { LinkPool } from '../overlay/transport/index.js'
import {
  Credentials,
  type CredentialsState,
  checkSecret,
  foundAccess,
  foundingRoot,
  issueCertificate,
  issueFrom,
  type JoinToken,
  type KeyPair,
  lifetimes,
  secretsEqual,
  serialBytes,
  trustOfToken,
} from '../security/index.js'
import { type Answer, type Attendee, type Effects, FoundingCore, type Outcome, type Question } from './founding-core.js'
import { FoundingHindrances, otherNumberWords } from './founding-hindrances.js'
import {
  type Beginning,
  type MeetAnswer,
  type MeetRequest,
  type Person,
  packBeginning,
  packMemory,
  readBeginning,
  readMeetAnswer,
  readMeetRequest,
  readMemory,
} from './founding-messages.js'
import type { Seeds } from './seeds.js'

/** A founding token's seed is there. */
export type FoundingToken = JoinToken & { readonly seed: Uint8Array }

export interface MeetingWorld {
  readonly token: FoundingToken
  /** How many found it. */
  readonly expect: number
  readonly self: Person
  readonly seeds: Seeds
  /** What an earlier start kept. */
  readonly memory: Uint8Array | undefined
  /** Durable when it resolves. */
  save(memory: Uint8Array): Promise<void>
  readonly clock: Clock
  /** Must not be guessable. */
  readonly random: Random
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** How the founding ended for this process: as one of the first, or as one who joins. */
export type MeetingEnd =
  | { readonly type: 'decided'; readonly beginning: Beginning }
  /** The cluster is there; who is in it was heard of at these addresses, or at those of the join string. */
  | { readonly type: 'founded'; readonly addresses: readonly string[] }

const callMs = 3_000
const [roundMinMs, roundMaxMs] = [200, 1_000]
const meetingCertificateMs = 365 * 86_400_000
/** `detail.what` of the refusal of who was given another number. */
const otherNumber = 'expect'

/** A meeting of those who found a cluster together. */
export class Meeting {
  readonly #world: MeetingWorld
  readonly #core: FoundingCore<Uint8Array>
  readonly #pool: LinkPool
  readonly #people = new Map<string, Person>()
  /** Where somebody is known to be, or to have been. */
  readonly #addresses = new Set<string>()
  readonly #asking = new Set<string>()
  readonly #hindrances: FoundingHindrances
  readonly #end: Deferred<Outcome<Uint8Array>> = deferred<Outcome<Uint8Array>>()
  #saving: Promise<void> = Promise.resolve()
  #news: Deferred<void> = deferred()

  constructor(world: MeetingWorld) {
    const { token, self, expect, random, clock, memory } = world
    this.#world = world
    const { id, name, address } = self
    const kept = memory && readMemory(token.root, memory)
    this.#core = new FoundingCore({ id, name, address }, expect, random, kept)
    this.#people.set(id, self)
    this.#hindrances = new FoundingHindrances(name, expect)
    const credentials = new Credentials({ own: undefined, trust: trustOfToken(token) }, () => clock.wallMs())
    this.#pool = LinkPool.client(
      { node: '', credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined },
      { clock, random },
    )
  }

  /** Who is here, who is not, and why: for people. */
  get progress(): string {
    const present = this.#core.present(this.#world.clock.now())
    return this.#hindrances.describe(present)
  }

  /**
   * Resolves when the cluster's beginning is known, or that it is there already.
   * @throws {SkeinError} ERR_SKEIN_ALREADY_EXISTS (another founder has our name), ERR_SKEIN_INVALID_OPTION (`expect`: most others were
   * given another number), ERR_SKEIN_ABORTED, ERR_SKEIN_DIR_UNUSABLE
   */
  async hold(): Promise<MeetingEnd> {
    const { signal, clock, random } = this.#world
    const onAbort = (): void => this.#end.reject(new SkeinError('ERR_SKEIN_ABORTED', 'founding: aborted', { what: 'founding' }))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    let over = false
    const end = this.#end.promise.finally(() => {
      over = true
      this.#news.resolve()
    })
    const rounds = async (): Promise<void> => {
      for (let round = 0; !over; round++) {
        for (const address of await this.#everybody()) void this.#ask(address, { type: 'hello' })
        this.#carryOut(this.#core.tick(clock.now()))
        this.#endIfHopeless()
        this.#news = deferred()
        const cancel = clock.after(backoffMs(round, { firstMs: roundMinMs, maxMs: roundMaxMs }, random), this.#news.resolve)
        if (!over) await this.#news.promise
        cancel()
      }
    }
    try {
      const [outcome] = await Promise.all([end, rounds()])
      if (outcome.type === 'founded') return { ...outcome, addresses: [...this.#addresses] }
      return { type: 'decided', beginning: readBeginning(outcome.value) }
    } finally {
      signal.removeEventListener('abort', onAbort)
      await this.#pool.stop()
    }
  }

  /** What is answered to `join.meet` while this meeting lasts. @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_BAD_MESSAGE, ERR_SKEIN_PRECONDITION, ERR_SKEIN_ALREADY_EXISTS */
  async asked(given: unknown): Promise<MeetAnswer> {
    const request = readMeetRequest(given)
    if (!secretsEqual(request.secret, this.#world.token.secret)) throw wrongSecret()
    // Asked in its turn, also when it is refused: both shall hear why.
    this.#hearOf([request.from.address])
    this.#refuseOtherNumber(request)
    this.#refuseSameName(request.from)
    this.#meet(request.from, request.known)
    const { answer, memory } = this.#core.asked(request.question)
    if (memory !== undefined) await this.#save(memory)
    return { from: this.#world.self, known: this.#known(), answer }
  }

  #refuseOtherNumber({ expect: theirs, from }: MeetRequest): void {
    const { expect, clock } = this.#world
    if (theirs === expect) return
    this.#hindrances.otherNumber(from.address, theirs, clock.now())
    throw new SkeinError('ERR_SKEIN_PRECONDITION', otherNumberWords(expect, theirs), { what: otherNumber })
  }

  #refuseSameName({ id, name, address }: Person): void {
    const { self } = this.#world
    if (id === self.id || name !== self.name) return
    const words = `name: two of those who found the cluster are named ${name} (${self.address} and ${address}); give each its own name`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name })
  }

  /** What others say can only be changed by other options: then it is no use to wait. */
  #endIfHopeless(): void {
    const nowMs = this.#world.clock.now()
    const error = this.#hindrances.hopeless(this.#core.present(nowMs), nowMs)
    if (error !== undefined) this.#end.reject(error)
  }

  async #everybody(): Promise<readonly string[]> {
    const found = await this.#world.seeds.list()
    this.#hindrances.unresolved(this.#world.seeds.unknown)
    return [...new Set([...found, ...this.#addresses])].filter((address) => address !== this.#world.self.address)
  }

  #known(): readonly string[] {
    return [...this.#people.values()].map(({ address }) => address).slice(0, 64)
  }

  #meet(person: Person, known: readonly string[]): void {
    if (person.id !== this.#world.self.id) this.#people.set(person.id, person)
    this.#hearOf([person.address, ...known])
  }

  #hearOf(addresses: readonly string[]): void {
    for (const address of addresses) if (this.#addresses.size < 256) this.#addresses.add(address)
  }

  /** One question at a time to each address: the core asks again. */
  async #ask(address: string, question: Question<Uint8Array>): Promise<void> {
    const { token, expect, self, signal, clock } = this.#world
    const asking = `${question.type} ${address}`
    if (this.#asking.has(asking)) return
    this.#asking.add(asking)
    try {
      const link = await this.#pool.dial(address, { deadlineMs: callMs, purpose: 'bulk', signal })
      try {
        const request: MeetRequest = { secret: token.secret, expect, from: self, known: this.#known(), question }
        const { from, known, answer } = readMeetAnswer(await link.call('join.meet', request, { deadlineMs: callMs }))
        this.#hindrances.answered(address)
        if (from !== undefined) this.#meet(from, known)
        const { id, name } = from ?? { id: '', name: '' }
        if (id === self.id) return // it was our own address
        this.#carryOut(this.#core.heard({ id, name, address: from?.address ?? address }, answer, clock.now()))
      } finally {
        link.close('answered')
      }
    } catch (error) {
      this.#refused(address, error)
    } finally {
      this.#asking.delete(asking)
    }
  }

  #refused(address: string, error: unknown): void {
    const { self, clock } = this.#world
    this.#hindrances.unanswered(address, messageOf(error))
    if (isSkeinError(error, 'ERR_SKEIN_PRECONDITION') && error.detail.what === otherNumber)
      this.#hindrances.otherNumber(address, undefined, clock.now())
    // Nothing but another name will change it.
    if (isSkeinError(error, 'ERR_SKEIN_ALREADY_EXISTS') && error.detail.name === self.name) this.#end.reject(error)
  }

  #carryOut(effects: Effects<Uint8Array>): void {
    this.#act(effects).catch((error: unknown) => this.#end.reject(error))
  }

  async #act({ memory, ask, make, outcome }: Effects<Uint8Array>): Promise<void> {
    if (memory !== undefined) await this.#save(memory)
    for (const who of ask?.to ?? []) {
      if (ask === undefined) break
      if (who.id === this.#world.self.id) await this.#askSelf(who, ask.question)
      else void this.#ask(who.address, ask.question)
    }
    if (make !== undefined) {
      const value = await this.#make(make.members)
      if (value !== undefined) this.#carryOut(this.#core.made(make.ballot, value))
    }
    if (outcome !== undefined) this.#end.resolve(outcome)
  }

  async #askSelf(self: Attendee, question: Question<Uint8Array>): Promise<void> {
    const { answer, memory }: { readonly answer: Answer<Uint8Array>; readonly memory?: Parameters<typeof packMemory>[1] } =
      this.#core.asked(question)
    if (memory !== undefined) await this.#save(memory)
    this.#carryOut(this.#core.heard(self, answer, this.#world.clock.now()))
  }

  /** Undefined when these cannot found a cluster. */
  async #make(members: readonly Attendee[]): Promise<Uint8Array | undefined> {
    const { token, clock, random } = this.#world
    const people = members.flatMap(({ id }) => this.#people.get(id) ?? [])
    // One of them came back without its memory a moment ago, or is being told to take another name.
    if (new Set(people.map(({ name }) => name)).size < people.length) return undefined
    return packBeginning(await makeBeginning(token, people, clock.wallMs(), random))
  }

  async #save(memory: Parameters<typeof packMemory>[1]): Promise<void> {
    const packed = packMemory(this.#world.token.root, memory)
    this.#saving = this.#saving.then(() => this.#world.save(packed))
    await this.#saving
  }
}

/** As whom a process takes links while it meets others: somebody that the token's root certifies. */
export function meetingCredentials(token: FoundingToken, id: string, keys: KeyPair, nowMs: number): CredentialsState {
  const { issuer, cluster } = foundingRoot(token.seed)
  const validity = { notBeforeMs: nowMs - lifetimes.backdateMs, notAfterMs: nowMs + meetingCertificateMs }
  const subject = { cluster, role: 'manager', id } as const
  const certificate = issueCertificate(issuer, subject, keys.publicKey, validity, randomBytes(serialBytes))
  return { own: { certificate, keys }, trust: trustOfToken(token) }
}

/** What somebody who still meets is answered by one who knows the end. @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_BAD_MESSAGE */
export function answerLater(given: unknown, beginning: Beginning | undefined): MeetAnswer {
  if (beginning === undefined) return { from: undefined, known: [], answer: { type: 'founded' } }
  const { secret } = readMeetRequest(given)
  const { cluster, dataKey, access, members } = beginning
  const wrong = checkSecret(access, { cluster, dataKey }, 'manager', secret)
  if (wrong !== undefined) throw wrong
  const known = members.map(({ address }) => address)
  return { from: undefined, known, answer: { type: 'decided', value: packBeginning(beginning) } }
}

async function makeBeginning(
  { seed }: FoundingToken,
  people: readonly Person[],
  nowMs: number,
  random: Random,
): Promise<Beginning> {
  const root = foundingRoot(seed)
  const dataKey = new Uint8Array(randomBytes(32))
  const authority = { cluster: root.cluster, dataKey, nowMs }
  const access = await foundAccess(authority, random, root)
  const taken = new Set<number>()
  const members = people.map(({ publicKey, ...person }) => {
    let raftId = 0
    while (raftId === 0 || taken.has(raftId)) raftId = 1 + below(random, 2 ** 48 - 1)
    taken.add(raftId)
    const subject = { cluster: root.cluster, role: 'manager', id: person.id } as const
    return { ...person, raftId, certificate: issueFrom(access, authority, subject, publicKey, lifetimes.nodeMs) }
  })
  return { cluster: root.cluster, dataKey, access, members }
}

function wrongSecret(): SkeinError<'ERR_SKEIN_BAD_JOIN_SECRET'> {
  const words = 'join token, secret: it is not that of the founding token this peer was given'
  return new SkeinError('ERR_SKEIN_BAD_JOIN_SECRET', words, { part: 'secret' })
}
