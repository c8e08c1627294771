/**
 * A peer's keys on disk: one file, 0600, written whole or not at all; with a passphrase everything in it is sealed.
 * Source: scrypt after RFC 7914, parameters N = 2^15, r = 8, p = 1: about a tenth of a second and 32 MB per guess.
 */
import { randomBytes, scrypt } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf, SkeinError } from '../base/errors.js'
import type { Access } from '../model/access.js'
import { type KeyPair, readPrivateKey, writePrivateKey } from './keys.js'
import { seal, sealKeyBytes, unseal } from './seal.js'
import type { Trust } from './trust.js'

/** What the file holds. */
export interface StoredKeys {
  readonly keys: KeyPair
  /** DER; undefined until the node was taken in. */
  readonly certificate: Uint8Array | undefined
  readonly trust: Trust
  /** Managers only: unseals what is secret in the replicated record. */
  readonly dataKey: Uint8Array | undefined
  /** The first record of a cluster that is being founded, until it is written. */
  readonly founding: Access | undefined
  /** What this peer promised to those it founds the cluster with, and the beginning they chose; until the first record is written. */
  readonly meeting?: Uint8Array | undefined
  /** Node ids that are refused for ever, as last heard. */
  readonly removed?: readonly string[] | undefined
  /** Nodes whose certificates as managers count no more, as last heard. */
  readonly demoted?: readonly string[] | undefined
}

/** The file's name in a peer's directory. */
export const keyFile = 'keys.json'
const purpose = 'keys of a peer'
const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }
const derive = promisify(scrypt) as (
  passphrase: string,
  salt: Uint8Array,
  length: number,
  options: typeof cost,
) => Promise<Buffer>

interface FileForm {
  readonly format: 1
  /** Base64 of the salt when a passphrase seals `body`. */
  readonly salt: string | undefined
  /** Base64 of the contents, sealed or not. */
  readonly body: string
}

/** The keys of one directory; remembers the sealing key, so that the passphrase is asked for once. */
export class KeyStore {
  readonly #dir: string
  #lock: { readonly salt: Uint8Array; readonly key: Uint8Array } | undefined

  constructor(dir: string) {
    this.#dir = dir
  }

  get file(): string {
    return join(this.#dir, keyFile)
  }

  /** True when the file is sealed with a passphrase. @throws {SkeinError} as `read` */
  async isLocked(): Promise<boolean> {
    return (await this.#load())?.salt !== undefined
  }

  /**
   * Undefined when there are none yet.
   * @throws {SkeinError} ERR_SKEIN_LOCKED (no passphrase, or a wrong one), ERR_SKEIN_CORRUPT, ERR_SKEIN_DIR_UNUSABLE
   */
  async read(passphrase: string | undefined): Promise<StoredKeys | undefined> {
    const form = await this.#load()
    if (form === undefined) return undefined
    const body = Buffer.from(form.body, 'base64')
    if (form.salt === undefined) return parse(body, this.file)
    if (passphrase === undefined) throw this.#locked(false)
    const salt = Buffer.from(form.salt, 'base64')
    const key = await derive(passphrase, salt, sealKeyBytes, cost)
    let plain: Uint8Array
    try {
      plain = unseal(key, purpose, body)
    } catch {
      throw this.#locked(true) // sealing cannot tell a wrong passphrase from damage
    }
    this.#lock = { salt, key }
    return parse(plain, this.file)
  }

  /** Writes under the lock the file was read with. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
  async write(stored: StoredKeys): Promise<void> {
    const plain = Buffer.from(JSON.stringify(pack(stored)))
    const lock = this.#lock
    const form: FileForm = {
      format: 1,
      salt: lock && Buffer.from(lock.salt).toString('base64'),
      body: Buffer.from(lock === undefined ? plain : seal(lock.key, purpose, plain)).toString('base64'),
    }
    try {
      await writeWhole(this.file, `${JSON.stringify(form)}\n`)
    } catch (cause) {
      throw new SkeinError(
        'ERR_SKEIN_DIR_UNUSABLE',
        `dir ${this.#dir}: ${messageOf(cause)}; make it writable for this user`,
        { dir: this.#dir },
        { cause },
      )
    }
  }

  /** True once a passphrase seals what is written. */
  get seals(): boolean {
    return this.#lock !== undefined
  }

  /** Everything written from now on is sealed with this passphrase; undefined: with none. */
  async setPassphrase(passphrase: string | undefined): Promise<void> {
    if (passphrase === undefined) {
      this.#lock = undefined
      return
    }
    const salt = randomBytes(16)
    this.#lock = { salt, key: await derive(passphrase, salt, sealKeyBytes, cost) }
  }

  async #load(): Promise<FileForm | undefined> {
    let text: string
    try {
      text = await readFile(this.file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new SkeinError(
        'ERR_SKEIN_DIR_UNUSABLE',
        `dir ${this.#dir}: ${messageOf(error)}`,
        { dir: this.#dir },
        { cause: error },
      )
    }
    try {
      const form = JSON.parse(text) as Partial<FileForm>
      if (form.format === 1 && typeof form.body === 'string' && ['string', 'undefined'].includes(typeof form.salt))
        return form as FileForm
    } catch {
      // Said below, the same for text that is no JSON.
    }
    throw corrupt(this.file)
  }

  #locked(tried: boolean): SkeinError<'ERR_SKEIN_LOCKED'> {
    const what = tried ? 'this passphrase does not open them (or the file is damaged)' : 'they are sealed with a passphrase'
    const words = `the keys in ${this.#dir} are locked: ${what}; give the passphrase (option \`passphrase\`, env SKEIN_PASSPHRASE), or take the lock off with \`skein unlock --dir ${this.#dir}\``
    return new SkeinError('ERR_SKEIN_LOCKED', words, { dir: this.#dir, tried })
  }
}

interface Packed {
  readonly privateKey: string
  readonly certificate?: string | undefined
  readonly trust: unknown
  readonly dataKey?: string | undefined
  readonly founding?: unknown
  readonly meeting?: string | undefined
  readonly removed?: readonly string[] | undefined
  readonly demoted?: readonly string[] | undefined
}

function pack({ keys, certificate, trust, dataKey, founding, meeting, removed, demoted }: StoredKeys): Packed {
  return {
    privateKey: text(writePrivateKey(keys)),
    certificate: certificate && text(certificate),
    trust:
      trust.type === 'pin'
        ? trust
        : { ...trust, roots: trust.roots.map(text), retired: trust.retired.map(text), crosses: trust.crosses.map(text) },
    dataKey: dataKey && text(dataKey),
    founding: founding && packAccess(founding),
    meeting: meeting && text(meeting),
    removed,
    demoted,
  }
}

function parse(plain: Uint8Array, file: string): StoredKeys {
  try {
    const packed = JSON.parse(Buffer.from(plain).toString()) as Packed
    const { privateKey, certificate, trust, dataKey, founding, meeting, removed, demoted } = packed
    return {
      keys: readPrivateKey(bytes(privateKey), file),
      certificate: certificate === undefined ? undefined : bytes(certificate),
      trust: parseTrust(trust as Record<string, unknown>),
      dataKey: dataKey === undefined ? undefined : bytes(dataKey),
      founding: founding === undefined ? undefined : parseAccess(founding as ReturnType<typeof packAccess>),
      ...(meeting !== undefined && { meeting: bytes(meeting) }),
      ...(removed !== undefined && { removed: removed.map(String) }),
      ...(demoted !== undefined && { demoted: demoted.map(String) }),
    }
  } catch (cause) {
    throw corrupt(file, cause)
  }
}

function parseTrust(trust: Record<string, unknown>): Trust {
  if (trust.type === 'pin') return { type: 'pin', digest: String(trust.digest) }
  const list = (key: string): Uint8Array[] => (trust[key] as string[]).map(bytes)
  return {
    type: 'roots',
    cluster: String(trust.cluster),
    roots: list('roots'),
    retired: list('retired'),
    crosses: list('crosses'),
  }
}

function packAccess({ roots, tokens, revoked }: Access) {
  return {
    roots: roots.map(({ certificate, cross, key, state }) => ({
      certificate: text(certificate),
      cross: cross && text(cross),
      key: key && text(key),
      state,
    })),
    tokens: { manager: text(tokens.manager), worker: text(tokens.worker) },
    revoked,
  }
}

function parseAccess({ roots, tokens, revoked }: ReturnType<typeof packAccess>): Access {
  return {
    roots: roots.map(({ certificate, cross, key, state }) => ({
      certificate: bytes(certificate),
      cross: cross === undefined ? undefined : bytes(cross),
      key: key === undefined ? undefined : bytes(key),
      state,
    })),
    tokens: { manager: bytes(tokens.manager), worker: bytes(tokens.worker) },
    revoked,
    keyring: undefined, // the first leader makes it, once there is a record
  }
}

function text(plain: Uint8Array): string {
  return Buffer.from(plain).toString('base64')
}

function bytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}

function corrupt(file: string, cause?: unknown): SkeinError<'ERR_SKEIN_CORRUPT'> {
  const words = `${file}: not a key file this version understands; restore it from a backup, or remove the directory and join again as a new node`
  return new SkeinError('ERR_SKEIN_CORRUPT', words, { file }, { cause })
}

/** Whole or not at all, also across a power cut: temporary file, fsync, rename, fsync of the directory. */
async function writeWhole(file: string, content: string): Promise<void> {
  const temporary = `${file}.tmp`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  const directory = await open(dirname(file), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
