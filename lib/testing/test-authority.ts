import { seededRandom } from '../base/random.js'
import type { Access } from '../model/access.js'
import {
  type AuthorityWorld,
  type CertifiedRole,
  Credentials,
  digestOf,
  formatKeyString,
  foundAccess,
  issueFrom,
  issuingRoot,
  type KeyPair,
  lifetimes,
  makeKeyPair,
  makeSealKey,
  type OwnCertificate,
  type Trust,
  trustOf,
} from '../security/index.js'

/** A cluster's authority for tests: certificates for whoever is wanted, at whatever time. */
export class TestAuthority {
  readonly cluster: string
  readonly dataKey: Uint8Array
  access: Access
  readonly #keys: KeyPair

  private constructor(cluster: string, dataKey: Uint8Array, access: Access, keys: KeyPair) {
    this.cluster = cluster
    this.dataKey = dataKey
    this.access = access
    this.#keys = keys
  }

  static async make(cluster = 'testcluster0'): Promise<TestAuthority> {
    const dataKey = makeSealKey()
    const access = await foundAccess({ cluster, dataKey, nowMs: Date.now() }, seededRandom(1))
    return new TestAuthority(cluster, dataKey, access, await makeKeyPair())
  }

  /** @param nowMs when it is issued. */
  world(nowMs = Date.now()): AuthorityWorld {
    return { cluster: this.cluster, dataKey: this.dataKey, nowMs }
  }

  get trust(): Extract<Trust, { type: 'roots' }> {
    return trustOf(this.cluster, this.access)
  }

  /** What a join token says of the root. */
  get pin(): Trust {
    return { type: 'pin', digest: digestOf(issuingRoot(this.access).certificate) }
  }

  /** All share one key: what tests ask is what a certificate says. */
  credentials(role: CertifiedRole, id: string, { issuedMs = Date.now(), wallMs = () => Date.now() } = {}): Credentials {
    const certificate = issueFrom(
      this.access,
      this.world(issuedMs),
      { cluster: this.cluster, role, id },
      this.#keys.publicKey,
      lifetimes.nodeMs,
    )
    return new Credentials({ own: { certificate, keys: this.#keys }, trust: this.trust }, wallMs)
  }

  /** What another process of a test can be given. */
  keyString(role: CertifiedRole, id: string): string {
    const { own } = this.credentials(role, id).state
    return formatKeyString({ own: own as OwnCertificate, trust: this.trust, addresses: ['127.0.0.1:1'] })
  }

  /** Of somebody who has only a token. */
  newcomer(): Credentials {
    return new Credentials({ own: undefined, trust: this.pin }, () => Date.now())
  }
}
