/** Who this process is on its links, and whom it believes; may be replaced while links are up. */
import { createHash } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { digestOf, isIssuedBy, type ReadCertificate, readCertificate, toPem } from './certificate.js'
import type { Identity, LinkRole, LinkSide } from './identity.js'
import type { KeyPair } from './keys.js'
import { identify, type KeyRecords, noRecords, type Shown, type Trust } from './trust.js'

/** A certificate with its key. */
export interface OwnCertificate {
  /** DER. */
  readonly certificate: Uint8Array
  readonly keys: KeyPair
}

export interface CredentialsState {
  /** Undefined before this process has one: it can dial as a newcomer, and take no links. */
  readonly own: OwnCertificate | undefined
  readonly trust: Trust
}

/** TLS as links speak it: 1.3 alone; AES-128-GCM first, the fastest with AES in hardware. */
export const tlsOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  honorCipherOrder: true,
  // Nobody believes these: `trust` judges. Without a list of its own a first context parses the hundred and more that Node brings along,
  // a third of what it costs to load this library.
  ca: [] as string[],
} satisfies SecureContextOptions

/** What everybody meets who does not know the cluster: no certificate, so the handshake fails and tells nothing. */
export const strangersContext: SecureContext = createSecureContext(tlsOptions)

/** The credentials of one process. Links made after `replace` use what is new; links that are up stay. */
export class Credentials {
  /** Nodes that were managers and are none any more, as last heard; a manager's certificate of theirs counts no more. */
  demoted: ReadonlySet<string> = new Set()
  /** What the cluster's records say, while this process is a manager and has them. */
  isOnRecord: KeyRecords = noRecords
  readonly #wallMs: () => number
  readonly #listeners = new Set<() => void>()
  #state: CredentialsState
  #own: ReadCertificate | undefined
  #context: SecureContext | undefined

  /** @param wallMs milliseconds since 1970, for certificates' validity. */
  constructor(state: CredentialsState, wallMs: () => number) {
    this.#wallMs = wallMs
    this.#state = state
    this.#own = readOwn(state)
  }

  /** @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE for an own certificate that cannot be read; nothing is changed then */
  replace(state: Partial<CredentialsState>): void {
    const next = { ...this.#state, ...state }
    this.#own = readOwn(next)
    this.#state = next
    this.#context = undefined
    for (const listener of [...this.#listeners]) listener()
  }

  /** Tells every replacement from now on; returns the function that ends it. */
  observe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get state(): CredentialsState {
    return this.#state
  }

  /** The own certificate, read. */
  get certificate(): ReadCertificate | undefined {
    return this.#own
  }

  /** Undefined while only a pin is known. */
  get cluster(): string | undefined {
    return this.#state.trust.type === 'roots' ? this.#state.trust.cluster : undefined
  }

  /** Whether the newest root known here issued the own certificate; if not it is to be renewed, whatever its age. */
  get isOfNewestRoot(): boolean {
    const { trust } = this.#state
    const newest = trust.type === 'roots' ? trust.roots[0] : undefined
    return this.#own === undefined || newest === undefined || isIssuedBy(this.#own, readCertificate(newest))
  }

  get role(): LinkRole {
    return (this.#own?.subject.unit as LinkRole | undefined) ?? 'newcomer'
  }

  /** What goes along with the own certificate: roots for whoever has only a digest, crosses for whoever knows only an older root. */
  get chain(): readonly Uint8Array[] {
    const { trust } = this.#state
    return trust.type === 'roots' ? [...trust.roots, ...trust.crosses] : []
  }

  /** The name to ask for when dialling: one that only somebody of the cluster, or with a token of it, can know. */
  get serverName(): string {
    const { trust } = this.#state
    return trust.type === 'roots' ? nameOf('cluster', trust.cluster) : nameOf('root', trust.digest)
  }

  /** Whether a dialler that asks for this name knows our cluster. */
  knows(serverName: string): boolean {
    const { trust } = this.#state
    if (trust.type === 'pin') return false
    if (serverName === nameOf('cluster', trust.cluster)) return true
    return [...trust.roots, ...trust.retired].some((root) => serverName === nameOf('root', digestOf(root)))
  }

  /** For either end of a TLS connection. */
  context(): SecureContext {
    this.#context ??= makeContext(this.#state.own)
    return this.#context
  }

  /** Who the other end is. @throws {SkeinError} ERR_SKEIN_BAD_CERTIFICATE, ERR_SKEIN_OTHER_CLUSTER */
  identify(shown: Shown, theirSide: LinkSide): Identity {
    const identity = identify(this.#state.trust, shown, theirSide, this.#wallMs(), this.isOnRecord)
    return identity.role === 'manager' && this.demoted.has(identity.node) ? { ...identity, role: 'demoted' } : identity
  }
}

function readOwn({ own }: CredentialsState): ReadCertificate | undefined {
  return own === undefined ? undefined : readCertificate(own.certificate)
}

function makeContext(own: OwnCertificate | undefined): SecureContext {
  if (own === undefined) return createSecureContext(tlsOptions)
  const key = own.keys.privateKey.export({ format: 'pem', type: 'pkcs8' })
  return createSecureContext({ ...tlsOptions, key, cert: toPem(own.certificate) })
}

/** A host name that says nothing by itself. */
function nameOf(kind: 'cluster' | 'root', text: string): string {
  return `${createHash('sha256').update(`skein ${kind} ${text}`).digest('hex').slice(0, 32)}.skein`
}
