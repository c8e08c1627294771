import type { JoinAnswer, RenewAnswer, TrustNews } from '../api/join.js'
import type { Clock } from '../base/clock.js'
import type { Access } from '../model/access.js'
import { type Keyring, sameSecrets } from '../model/keyring.js'
import { Credentials, type KeyPair, type KeyStore, type StoredKeys } from '../security/index.js'

/** This peer's key, certificate and trust: in use on its links, and on disk when it has a directory. */
export class OwnKeys {
  readonly credentials: Credentials
  /** Node ids that are refused for ever, as last heard; a manager asks its own tables instead. */
  removed: ReadonlySet<string>
  /** Keys of datagrams as last heard; never on disk. */
  keyring: Keyring | undefined
  readonly #store: KeyStore | undefined
  #stored: StoredKeys
  #trustVersion = 0
  #saving: Promise<void> = Promise.resolve()

  constructor(stored: StoredKeys, store: KeyStore | undefined, clock: Clock) {
    const { keys, certificate, trust, removed, demoted } = stored
    this.#stored = stored
    this.removed = new Set(removed)
    this.#store = store
    const own = certificate === undefined ? undefined : { certificate, keys }
    this.credentials = new Credentials({ own, trust }, () => clock.wallMs())
    this.credentials.demoted = new Set(demoted)
  }

  get keys(): KeyPair {
    return this.#stored.keys
  }

  get certificate(): Uint8Array | undefined {
    return this.#stored.certificate
  }

  get dataKey(): Uint8Array | undefined {
    return this.#stored.dataKey
  }

  get founding(): Access | undefined {
    return this.#stored.founding
  }

  /** Taken in, or renewed. Links made from now on show the new certificate; it is on disk when this resolves. */
  async certified(keys: KeyPair, { certificate, trust, dataKey }: JoinAnswer | RenewAnswer): Promise<void> {
    this.#stored = { ...this.#stored, keys, certificate, trust, dataKey, meeting: undefined }
    this.credentials.replace({ own: { certificate, keys }, trust })
    await this.save()
  }

  /** Shows this certificate of the own key on links made from now on, and keeps it on no disk: a clock that was wrong leaves nothing behind. */
  show(certificate: Uint8Array): void {
    const shown = this.credentials.state.own?.certificate
    if (shown !== undefined && Buffer.compare(shown, certificate) === 0) return
    this.credentials.replace({ own: { certificate, keys: this.keys } })
  }

  /** True when it was news; what is older than known is none. */
  learn({ trust, removed, demoted, keyring, version }: TrustNews): boolean {
    if (trust.cluster !== this.credentials.cluster || version < this.#trustVersion) return false
    // Apart from the rest: by the same version of the record it gets none before its certificate is renewed.
    if (keyring !== undefined) this.keyring = sameSecrets(keyring, this.keyring)
    if (version === this.#trustVersion) return false
    this.#trustVersion = version
    this.removed = new Set(removed)
    this.credentials.demoted = new Set(demoted)
    const was = this.#stored.trust
    const isSame = was.type === 'roots' && namesOf(was) === namesOf(trust)
    // Kept: a peer that starts while no manager can tell it refuses them too.
    this.#stored = { ...this.#stored, trust, removed, demoted }
    if (!isSame) this.credentials.replace({ trust })
    return true
  }

  /** See `StoredKeys.meeting`. */
  get meeting(): Uint8Array | undefined {
    return this.#stored.meeting
  }

  async keepMeeting(meeting: Uint8Array): Promise<void> {
    this.#stored = { ...this.#stored, meeting }
    await this.save()
  }

  /** One of the first: what it is to show and to write is known. */
  async began(certificate: Uint8Array, trust: TrustNews['trust'], dataKey: Uint8Array, founding: Access): Promise<void> {
    this.#stored = { ...this.#stored, certificate, trust, dataKey, founding }
    this.credentials.replace({ own: { certificate, keys: this.keys }, trust })
    await this.save()
  }

  /** The first record is written: what it was made from is not needed any more. */
  async founded(): Promise<void> {
    this.#stored = { ...this.#stored, founding: undefined, meeting: undefined }
    await this.save()
  }

  /** @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
  async save(): Promise<void> {
    const store = this.#store
    if (store === undefined) return
    // One write at a time: all use the same temporary file.
    this.#saving = this.#saving.catch(() => undefined).then(() => store.write(this.#stored))
    await this.#saving
  }
}

function namesOf({ roots, retired, crosses }: TrustNews['trust']): string {
  return JSON.stringify(
    [roots, retired, crosses].map((each) => each.map((certificate) => Buffer.from(certificate).toString('base64'))),
  )
}
