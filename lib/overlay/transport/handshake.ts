import { assert, unreachable } from '../../base/assert.js'
import { SkeinError } from '../../base/errors.js'
import { certificateMaxBytes, chainMax, type Identity, type LinkSide } from '../../security/index.js'
import * as wire from '../../wire/index.js'
import { errorFromWire, errorToWire } from './remote-errors.js'

/** The wire versions an end can speak. */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

/** `bulk`: a second link to the same peer, for what is large and can wait; it never takes the place of the first. */
export type LinkPurpose = 'all' | 'bulk'

/** What this end says and knows. */
export interface Self {
  /** Own node id; '' for a client. */
  readonly node: string
  readonly versions: VersionRange
  /** Random per process start: tells a restarted peer from the same one dialling twice. */
  readonly instance: string
  /** What the dialler wants the link for; an acceptor hears it. */
  readonly purpose: LinkPurpose
  /** Certificates that help the other end to believe ours. */
  readonly chain: readonly Uint8Array[]
  /** The other end's address, for messages. */
  readonly remote: string
  /** Who the other end is, by the certificate its connection proved and the chain it sends. @throws {SkeinError} when that proves nothing */
  identify(chain: readonly Uint8Array[]): Identity
  /** The owner's last word on who may link, and from which process; undefined lets it in. */
  admit(identity: Identity, instance: string): SkeinError | undefined
}

export interface Established {
  readonly type: 'established'
  readonly identity: Identity
  readonly version: number
  readonly purpose: LinkPurpose
  /** The other end's process: a restarted peer has the same node id and another instance. */
  readonly instance: string
}

/** What to send now, and whether it is over. After an outcome nothing more may be received. */
export interface Step {
  readonly send: readonly Uint8Array[]
  readonly outcome?: Established | { readonly type: 'failed'; readonly error: SkeinError }
}

/** The largest handshake message: a full chain, and room. */
const messageMaxBytes = chainMax * certificateMaxBytes + 4096
/** First bytes of the one message whose form never changes: magic, min version, max version. */
const magic = Buffer.from('skein')

const instance = wire.refine(wire.string, (value, path) => {
  if (/^[\w-]{1,32}$/.test(value)) return value
  throw wire.badMessage(path, '1 to 32 word characters', value)
})
const chain = wire.refine(wire.array(wire.bytes), (value, path) => {
  if (value.length <= chainMax && value.every((each) => each.length <= certificateMaxBytes)) return value
  throw wire.badMessage(path, `at most ${chainMax} certificates of at most ${certificateMaxBytes} bytes`, value)
})
const readMessage = wire.tagged('type', {
  claim: wire.object({ instance, chain, purpose: wire.oneOf('all', 'bulk') }),
  answer: wire.object({ instance, chain }),
  ready: wire.object({}),
  refuse: wire.object({ code: wire.string, message: wire.string, detail: wire.optional(wire.anything) }),
})
type Message = wire.Read<typeof readMessage>

/**
 * Two ends of a connection, each proved by TLS to hold the key of the certificate it showed, become two ends of a link:
 * hello both ways (versions) → claim → answer → ready. Whether a certificate is believed is decided here, so that whoever
 * finds fault can say so to the other end before it fails itself. A pure machine: messages in, messages out.
 */
export class Handshake {
  readonly #side: LinkSide
  readonly #self: Self
  #waitsFor: 'hello' | Message['type'] = 'hello'
  #version = wire.unagreedVersion
  #established: Established | undefined

  constructor(side: LinkSide, self: Self) {
    this.#side = side
    this.#self = self
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
        case 'ready':
          return { send: [], outcome: this.#known() }
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
    const agreed = Math.min(ours.max, theirs.max)
    if (agreed < Math.max(ours.min, theirs.min)) {
      const words = `${this.#self.remote} speaks wire versions ${theirs.min} to ${theirs.max}, this peer ${ours.min} to ${ours.max}; upgrade the older one`
      // Said by nobody: the other end has both hellos too and comes to the same end.
      return failed(new SkeinError('ERR_SKEIN_WIRE_VERSION', words, { ours: ours.max, theirs: theirs.max }))
    }
    this.#version = agreed
    if (this.#side === 'acceptor') return this.#wait('claim')
    const { instance: process, chain: sent, purpose } = this.#self
    return this.#wait('answer', { type: 'claim', instance: process, chain: [...sent], purpose })
  }

  #onClaim(theirs: Extract<Message, { type: 'claim' }>): Step {
    const refusal = this.#meet(theirs, theirs.purpose)
    if (refusal !== undefined) return refusal
    const { instance: process, chain: sent } = this.#self
    return this.#wait('ready', { type: 'answer', instance: process, chain: [...sent] })
  }

  #onAnswer(theirs: Extract<Message, { type: 'answer' }>): Step {
    const refusal = this.#meet(theirs, this.#self.purpose)
    return refusal ?? { send: [wire.encode({ type: 'ready' })], outcome: this.#known() }
  }

  /** Who they are, and whether they may be here. */
  #meet(theirs: { readonly instance: string; readonly chain: readonly Uint8Array[] }, purpose: LinkPurpose): Step | undefined {
    const { remote } = this.#self
    let identity: Identity
    try {
      identity = this.#self.identify(theirs.chain)
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      return this.#fail(about(`${remote}: `, error), about('your ', error))
    }
    const refusal = this.#clash(identity, theirs.instance) ?? this.#self.admit(identity, theirs.instance)
    if (refusal !== undefined) return this.#fail(refusal)
    this.#established = { type: 'established', identity, version: this.#version, purpose, instance: theirs.instance }
    return undefined
  }

  #onRefuse({ code, message, detail }: Extract<Message, { type: 'refuse' }>): Step {
    return failed(errorFromWire(code, `${this.#self.remote} refused the link: ${message}`, detail, 'link'))
  }

  /** What two ends may not be to each other; found by the acceptor first, and by the dialler if that one is older. */
  #clash({ node: theirs }: Identity, theirInstance: string): SkeinError | undefined {
    const { node, instance: ours, remote } = this.#self
    if (node === '' || theirs !== node) return undefined
    if (theirInstance === ours) {
      return new SkeinError('ERR_SKEIN_PRECONDITION', `${remote} leads back to this peer itself`, { what: 'link' })
    }
    const words = `another process uses the node id ${node}; give each its own data directory`
    return new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name: node })
  }

  #known(): Established {
    assert(this.#established !== undefined, 'both ends have met')
    return this.#established
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

function about(whose: string, error: SkeinError): SkeinError {
  return new SkeinError(error.code, whose + error.message, error.detail, { cause: error.cause })
}
