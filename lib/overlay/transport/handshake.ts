import { assert, unreachable } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { parseNodeId } from '../../base/ids.js'
import {
  type Claim,
  checkProof,
  type Identity,
  type LinkSide,
  mayClaim,
  nonceBytes,
  proofBytes,
  prove,
  type Secrets,
  secretToProve,
  type Transcript,
} from '../../security/index.js'
import * as wire from '../../wire/index.js'
import { errorFromWire, errorToWire } from './remote-errors.js'

/** The wire versions an end can speak. */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

/** What this end says and knows. */
export interface Self {
  readonly node: string
  readonly role: Identity['role']
  /** Undefined before this process knows its cluster: it may dial, and must not accept. */
  readonly cluster: string | undefined
  readonly secrets: Secrets
  readonly versions: VersionRange
  readonly instance: string
  /** What the dialler wants the link for; an acceptor hears it. */
  readonly purpose: LinkPurpose
  readonly nonce: Uint8Array
  /** The other end's address, for messages. */
  readonly remote: string
  /** The owner's last word on who may link, and from which process; undefined lets it in. */
  admit(identity: Identity, instance: string): SkeinError | undefined
}

/** `bulk`: a second link to the same peer, for what is large and can wait; it never takes the place of the first. */
export type LinkPurpose = 'all' | 'bulk'

export interface Established {
  readonly type: 'established'
  readonly identity: Identity
  readonly version: number
  /** The other end's process: a restarted peer has the same node id and another instance. */
  readonly instance: string
  readonly purpose: LinkPurpose
}

/** What to send now, and whether it is over. After an outcome nothing more may be received. */
export interface Step {
  readonly send: readonly Uint8Array[]
  readonly outcome?: Established | { readonly type: 'failed'; readonly error: SkeinError }
}

/** The largest handshake message. */
const messageMaxBytes = 4096
/** First bytes of the one message whose form never changes: magic, min version, max version. */
const magic = Buffer.from('skein')

const nonce = wire.refine(wire.bytes, (value, path) => {
  if (value.length === nonceBytes) return value
  throw wire.badMessage(path, `${nonceBytes} bytes`, value)
})
const proof = wire.refine(wire.bytes, (value, path) => {
  if (value.length === proofBytes) return value
  throw wire.badMessage(path, `${proofBytes} bytes`, value)
})
const idOrNone = wire.refine(wire.string, (value, path): string => (value === '' ? '' : parseNodeId(value, path)))
const instance = wire.refine(wire.string, (value, path) => {
  if (/^[\w-]{1,32}$/.test(value)) return value
  throw wire.badMessage(path, '1 to 32 word characters', value)
})
const claim = {
  node: idOrNone,
  role: wire.oneOf('manager', 'worker', 'client', 'newcomer'),
  cluster: idOrNone,
  instance,
  nonce,
}
const readMessage = wire.tagged('type', {
  claim: wire.object({ ...claim, secret: wire.oneOf('manager', 'worker'), purpose: wire.optional(wire.oneOf('bulk')) }),
  answer: wire.object(claim),
  proof: wire.object({ proof }),
  accept: wire.object({ proof }),
  ready: wire.object({}),
  refuse: wire.object({ code: wire.string, message: wire.string, detail: wire.optional(wire.anything) }),
})
type Message = wire.Read<typeof readMessage>

/**
 * Two strangers become two ends of a link: hello both ways (versions) → claim → answer → proof → accept (proof back) →
 * ready. A pure machine: messages in, messages out. Whoever finds fault says so to the other end, then fails itself.
 */
export class Handshake {
  readonly #side: LinkSide
  readonly #self: Self
  #waitsFor: 'hello' | Message['type'] = 'hello'
  #theirs: VersionRange = { min: 0, max: 0 }
  #version = wire.unagreedVersion
  #transcript: Transcript | undefined
  #purpose: LinkPurpose

  constructor(side: LinkSide, self: Self) {
    this.#side = side
    this.#self = self
    this.#purpose = self.purpose
  }

  /** The version frames carry from here on; `unagreedVersion` until both hellos were seen. */
  get version(): number {
    return this.#version
  }

  start(): Step {
    const { min, max } = this.#self.versions
    return { send: [Buffer.from([...magic, min, max])] }
  }

  receive(payload: Uint8Array): Step {
    assert(this.#waitsFor !== 'refuse', 'nothing is received after the outcome')
    try {
      if (this.#waitsFor === 'hello') return this.#onHello(payload)
      const message = readMessage(wire.decode(payload, messageMaxBytes), 'handshake')
      if (message.type === 'refuse') return this.#onRefuse(message)
      if (message.type !== this.#waitsFor) throw wire.badMessage('handshake.type', this.#waitsFor, message.type)
      switch (message.type) {
        case 'claim':
          return this.#onClaim(message)
        case 'answer':
          return this.#onAnswer(message)
        case 'proof':
          return this.#onProof(message.proof)
        case 'accept':
          return this.#onAccept(message.proof)
        case 'ready':
          return { send: [], outcome: this.#established() }
        default:
          return unreachable(message)
      }
    } catch (error) {
      if (error instanceof SkeinError) return this.#fail(error)
      throw error
    }
  }

  #onHello(payload: Uint8Array): Step {
    const ours = this.#self.versions
    const theirs = readHello(payload)
    this.#theirs = theirs
    const agreed = Math.min(ours.max, theirs.max)
    if (agreed < Math.max(ours.min, theirs.min)) {
      const words = `${this.#self.remote} speaks wire versions ${theirs.min} to ${theirs.max}, this peer ${ours.min} to ${ours.max}; upgrade the older one`
      // Said by nobody: the other end has both hellos too and comes to the same end.
      return failed(new SkeinError('ERR_SKEIN_WIRE_VERSION', words, { ours: ours.max, theirs: theirs.max }))
    }
    this.#version = agreed
    if (this.#side === 'acceptor') return this.#wait('claim')
    const { role, secrets } = this.#self
    const secret = secretToProve(role, secrets)
    if (secret === undefined)
      return this.#fail(this.#badSecret(`this process holds no secret that a ${role} could prove itself with`))
    return this.#wait('answer', { type: 'claim', ...this.#claim(), secret, ...(this.#purpose === 'bulk' && { purpose: 'bulk' }) })
  }

  #onClaim(theirs: Extract<Message, { type: 'claim' }>): Step {
    const { cluster } = this.#self
    if (cluster === undefined) {
      throw new SkeinError('ERR_SKEIN_PRECONDITION', 'this peer is not part of a cluster yet; try again later', { what: 'link' })
    }
    const clash = this.#clash(theirs)
    if (clash !== undefined) return clash
    if ((theirs.node === '') !== (theirs.role === 'client') && theirs.role !== 'newcomer') {
      throw wire.badMessage('handshake.node', theirs.role === 'client' ? 'no node id of a client' : 'a node id', theirs.node)
    }
    if (!mayClaim(theirs.role, theirs.secret)) {
      throw new SkeinError('ERR_SKEIN_FORBIDDEN', `the ${theirs.secret} secret does not let anyone link as ${theirs.role}`, {
        role: theirs.role,
        verb: 'link',
      })
    }
    if (this.#self.secrets[theirs.secret] === undefined) {
      throw new SkeinError(
        'ERR_SKEIN_FORBIDDEN',
        `this ${this.#self.role} does not hold the ${theirs.secret} secret and cannot tell who is a ${theirs.role}; dial a manager`,
        { role: theirs.role, verb: 'link' },
      )
    }
    this.#purpose = theirs.purpose ?? 'all'
    const ours = { ...this.#claim(), cluster }
    this.#transcript = this.#makeTranscript(theirs.secret, theirs, ours)
    return this.#wait('proof', { type: 'answer', ...ours })
  }

  #onAnswer(theirs: Extract<Message, { type: 'answer' }>): Step {
    const clash = this.#clash(theirs)
    if (clash !== undefined) return clash
    if (theirs.role !== 'manager' && theirs.role !== 'worker')
      throw wire.badMessage('handshake.role', 'manager or worker', theirs.role)
    if (theirs.node === '') throw wire.badMessage('handshake.node', 'a node id', theirs.node)
    const { role, secrets } = this.#self
    const secret = secretToProve(role, secrets)
    assert(secret !== undefined, 'the claim was made with a secret')
    this.#transcript = this.#makeTranscript(secret, this.#claim(), theirs)
    return this.#wait('accept', { type: 'proof', proof: this.#prove('dialler') })
  }

  #onProof(theirProof: Uint8Array): Step {
    if (!this.#check(theirProof, 'dialler')) {
      const { secret } = this.#known()
      return this.#fail(
        this.#badSecret(`${this.#self.remote} does not know the ${secret} secret of this cluster`),
        this.#badSecret(`the ${secret} secret is not the one of this cluster; take the join string again from a manager`),
      )
    }
    const { identity, instance: process } = this.#established()
    const refusal = this.#self.admit(identity, process)
    if (refusal !== undefined) return this.#fail(refusal)
    return this.#wait('ready', { type: 'accept', proof: this.#prove('acceptor') })
  }

  #onAccept(theirProof: Uint8Array): Step {
    if (!this.#check(theirProof, 'acceptor')) {
      return this.#fail(
        this.#badSecret(`${this.#self.remote} does not know the ${this.#known().secret} secret of this cluster`),
        this.#badSecret('your proof of the secret is wrong'),
      )
    }
    const established = this.#established()
    const refusal = this.#self.admit(established.identity, established.instance)
    if (refusal !== undefined) return this.#fail(refusal)
    return { send: [wire.encode({ type: 'ready' })], outcome: established }
  }

  #onRefuse({ code, message, detail }: Extract<Message, { type: 'refuse' }>): Step {
    const { remote } = this.#self
    // The address is what the reader of this error needs, and only this end knows it.
    if (code === 'ERR_SKEIN_BAD_JOIN_SECRET') return failed(this.#badSecret(message))
    return failed(errorFromWire(code, `${remote} refused the link: ${message}`, detail, 'link'))
  }

  /** What two ends may not be to each other; found by the acceptor first, and by the dialler if that one is older. */
  #clash(theirs: Pick<Claim, 'node' | 'cluster' | 'instance'>): Step | undefined {
    const { cluster, node, instance: ours, remote } = this.#self
    if (cluster !== undefined && theirs.cluster !== '' && theirs.cluster !== cluster) {
      return this.#fail(otherCluster(remote, cluster, theirs.cluster), otherCluster('this peer', theirs.cluster, cluster))
    }
    if (node === '' || theirs.node !== node) return undefined
    if (theirs.instance === ours) {
      return this.#fail(new SkeinError('ERR_SKEIN_PRECONDITION', `${remote} leads back to this peer itself`, { what: 'link' }))
    }
    const words = `another process uses the node id ${node}; give each its own data directory`
    return this.#fail(new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name: node }))
  }

  #established(): Established {
    const { secret, dialler, acceptor } = this.#known()
    const { node, role, instance: process } = this.#side === 'dialler' ? acceptor : dialler
    return {
      type: 'established',
      identity: { node, role, cluster: acceptor.cluster, proved: secret },
      version: this.#version,
      instance: process,
      purpose: this.#purpose,
    }
  }

  #claim(): Claim {
    const { node, role, cluster = '', instance: process, nonce: random } = this.#self
    return { node, role, cluster, instance: process, nonce: random }
  }

  #makeTranscript(secret: Transcript['secret'], dialler: Claim, acceptor: Claim): Transcript {
    const [from, to] = this.#side === 'dialler' ? [this.#self.versions, this.#theirs] : [this.#theirs, this.#self.versions]
    return { version: this.#version, ranges: [from.min, from.max, to.min, to.max], secret, dialler, acceptor }
  }

  #prove(side: LinkSide): Uint8Array {
    return prove(side, this.#secret(), this.#known())
  }

  #check(theirProof: Uint8Array, side: LinkSide): boolean {
    return checkProof(theirProof, side, this.#secret(), this.#known())
  }

  #secret(): string {
    const secret = this.#self.secrets[this.#known().secret]
    assert(secret !== undefined, 'a transcript is only begun with a secret at hand')
    return secret
  }

  #known(): Transcript {
    assert(this.#transcript !== undefined, 'both claims are known before anything is proved')
    return this.#transcript
  }

  #badSecret(words: string): SkeinError {
    const address = this.#self.remote
    return new SkeinError('ERR_SKEIN_BAD_JOIN_SECRET', this.#side === 'dialler' ? `${address}: ${words}` : words, { address })
  }

  #wait(next: Message['type'], message?: Message): Step {
    this.#waitsFor = next
    return { send: message === undefined ? [] : [wire.encode(message)] }
  }

  #fail(error: SkeinError, forThem: SkeinError = error): Step {
    this.#waitsFor = 'refuse'
    return { send: [wire.encode({ type: 'refuse', ...errorToWire(forThem) })], outcome: { type: 'failed', error } }
  }
}

function readHello(payload: Uint8Array): VersionRange {
  const [min, max] = payload.subarray(magic.length)
  // Longer is fine: a newer hello may say more.
  if (magic.compare(payload.subarray(0, magic.length)) !== 0 || min === undefined || max === undefined || min < 1 || min > max) {
    throw wire.badMessage('handshake', 'a hello of skein', payload)
  }
  return { min, max }
}

function failed(error: SkeinError): Step {
  return { send: [], outcome: { type: 'failed', error } }
}

function otherCluster(who: string, ours: string, theirs: string): SkeinError {
  return new SkeinError('ERR_SKEIN_OTHER_CLUSTER', `${who} belongs to cluster ${theirs}, not to ${ours}`, { ours, theirs })
}
