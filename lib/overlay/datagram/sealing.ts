/**
 * Datagrams ↔ sealed packets.
 *
 *     version 1 | key id 1 | cluster 2 | sender 8 | epoch 6 | counter 6 | sealed payload | tag 16
 *
 * The header is authenticated with the cluster's id (AES-256-GCM). Each sender has its own key, derived from the cluster's, and its
 * own nonces, epoch ‖ counter: so nonces cannot meet by chance, and a process that starts again never repeats one. The key id saves
 * trying every key; two bytes of the cluster's hash tell a stranger's packet from a damaged one.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import { assert } from '../../base/assert.js'
import { type Keyring, keyOf } from '../../model/keyring.js'
import { ReplayWindow } from './replay-window.js'

/** The largest datagram sent or taken: fits IPv6's smallest path whole, with room for tunnels. */
export const packetMaxBytes = 1200
const headerBytes = 24
const tagBytes = 16
/** What a packet costs besides its payload. */
export const sealBytes = headerBytes + tagBytes
export const payloadMaxBytes = packetMaxBytes - sealBytes

const packetVersion = 1
const counterMax = 2 ** 48 - 1
/** Packets one key may seal. @see NIST SP 800-38D §8.3 */
const sealsPerKeyMax = 2 ** 32

/** Why a packet that arrived was dropped. */
export const dropReasons = [
  'truncated',
  'oversized',
  'version',
  'other-cluster',
  'own',
  'unknown-key',
  'bad-seal',
  'replayed',
] as const
export type DropReason = (typeof dropReasons)[number]

export type Opened =
  | { readonly ok: true; readonly sender: string; readonly epoch: number; readonly payload: Uint8Array }
  | { readonly ok: false; readonly reason: DropReason }

export interface SealingOptions {
  /** Own node id. */
  readonly node: string
  /** Cluster id. */
  readonly cluster: string
  /** Number of this start of the process, 0..2^48-1: higher each time, or a nonce would be used twice. */
  readonly epoch: number
  /** The ring as it is now; undefined while none is known: then nothing is sealed and nothing opens. */
  readonly keyring: () => Keyring | undefined
  /** Senders remembered; past it the one silent for longest is forgotten, and its next packet taken as its first. Default 16,384. */
  readonly sendersMax?: number
}

interface Sender {
  readonly id: string
  /** By the secret of the cluster key they come from: after a rotation the same id may one day mean another key. */
  readonly keys: Map<Uint8Array, SenderKey>
}

/**
 * One sender's key, and what it has sealed so far. Under another key nothing can be replayed, so nothing is remembered across them:
 * a false start that somebody claimed with a stolen key ends with that key.
 */
interface SenderKey {
  readonly derived: Buffer
  epoch: number
  window: ReplayWindow
}

/** Seals what this process sends and opens what others sent; remembers what it must to refuse the same packet twice. */
export class Sealing {
  readonly #label: Buffer
  readonly #clusterTag: number
  readonly #self: bigint
  readonly #epoch: number
  readonly #keyring: () => Keyring | undefined
  readonly #sendersMax: number
  readonly #own: Sender
  /** In the order last heard. */
  readonly #senders = new Map<bigint, Sender>()
  #counter = 0
  #sealsWithKey = 0
  #sealKey: Uint8Array | undefined

  constructor({ node, cluster, epoch, keyring, sendersMax = 16_384 }: SealingOptions) {
    assert(Number.isSafeInteger(epoch) && epoch >= 0 && epoch <= counterMax, 'an epoch is a number of 48 bits')
    this.#label = Buffer.from(`skein ${cluster}`)
    this.#clusterTag = createHash('sha256').update(this.#label).digest().readUInt16BE(0)
    this.#self = packId(node)
    this.#epoch = epoch
    this.#keyring = keyring
    this.#sendersMax = sendersMax
    this.#own = { id: node, keys: new Map() }
  }

  get senders(): number {
    return this.#senders.size
  }

  /** Keys derived and held for senders: three for each at most. */
  get keys(): number {
    return [...this.#senders.values()].reduce((sum, { keys }) => sum + keys.size, 0)
  }

  get keyId(): number | undefined {
    return this.#keyring()?.primary.id
  }

  /** The packet; undefined when no key is known or the key may seal no more: use the links until the next one. */
  seal(payload: Uint8Array): Uint8Array | undefined {
    assert(payload.length <= payloadMaxBytes, 'the sender keeps to payloadMaxBytes')
    const ring = this.#keyring()
    const key = ring?.primary
    if (ring === undefined || key === undefined || !this.#maySeal(key.secret)) return undefined
    const packet = Buffer.allocUnsafe(sealBytes + payload.length)
    packet[0] = packetVersion
    packet[1] = key.id
    packet.writeUInt16BE(this.#clusterTag, 2)
    packet.writeBigUInt64BE(this.#self, 4)
    packet.writeUIntBE(this.#epoch, 12, 6)
    packet.writeUIntBE(this.#counter++, 18, 6)
    const cipher = createCipheriv('aes-256-gcm', this.#ownKey(key.secret, ring).derived, packet.subarray(12, headerBytes))
    cipher.setAAD(this.#aad(packet))
    packet.set(cipher.update(payload), headerBytes)
    cipher.final() // a stream cipher: nothing is left over
    packet.set(cipher.getAuthTag(), headerBytes + payload.length)
    return packet
  }

  /** Never throws, whatever the bytes; what a packet claims changes nothing until its seal has proved it. */
  open(bytes: Uint8Array): Opened {
    const packet = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    if (packet.length > packetMaxBytes) return dropped('oversized')
    if (packet.length < sealBytes) return dropped('truncated')
    if (packet[0] !== packetVersion) return dropped('version')
    if (packet.readUInt16BE(2) !== this.#clusterTag) return dropped('other-cluster')
    const packed = packet.readBigUInt64BE(4)
    if (packed === this.#self) return dropped('own') // reflected; our own keys would open it
    const ring = this.#keyring()
    const key = ring === undefined ? undefined : keyOf(ring, packet.readUInt8(1))
    if (ring === undefined || key === undefined) return dropped('unknown-key')
    const epoch = packet.readUIntBE(12, 6)
    const counter = packet.readUIntBE(18, 6)
    const known = this.#senders.get(packed)
    const used = known?.keys.get(key.secret)
    const isReplayed = used !== undefined && (epoch < used.epoch || (epoch === used.epoch && !used.window.isFresh(counter)))
    if (isReplayed) return dropped('replayed')
    const id = known?.id ?? unpackId(packed)
    if (id === undefined) return dropped('bad-seal')
    // Whoever it names, a forged packet costs a derivation and a check of a seal at most, some 30 µs, and leaves nothing behind.
    const senderKey = used ?? this.#derive(id, key.secret)
    const payload = this.#unseal(packet, senderKey.derived)
    if (payload === undefined) return dropped('bad-seal')
    const sender = known ?? { id, keys: new Map() }
    if (used === undefined) keep(sender, key.secret, senderKey, ring)
    this.#remember(packed, sender, senderKey, epoch, counter)
    return { ok: true, sender: id, epoch, payload }
  }

  #unseal(packet: Buffer, key: Buffer): Uint8Array | undefined {
    const end = packet.length - tagBytes
    const decipher = createDecipheriv('aes-256-gcm', key, packet.subarray(12, headerBytes), { authTagLength: tagBytes })
    decipher.setAAD(this.#aad(packet))
    decipher.setAuthTag(packet.subarray(end))
    const payload = decipher.update(packet.subarray(headerBytes, end))
    try {
      decipher.final()
      return payload
    } catch {
      // Its only complaint is that the tag does not fit; what was deciphered is worth nothing then.
      return undefined
    }
  }

  #remember(packed: bigint, sender: Sender, key: SenderKey, epoch: number, counter: number): void {
    if (epoch > key.epoch) {
      key.epoch = epoch
      key.window = new ReplayWindow()
    }
    key.window.accept(counter)
    this.#senders.delete(packed)
    this.#senders.set(packed, sender)
    if (this.#senders.size <= this.#sendersMax) return
    const [oldest] = this.#senders.keys()
    if (oldest !== undefined) this.#senders.delete(oldest)
  }

  #ownKey(secret: Uint8Array, ring: Keyring): SenderKey {
    const known = this.#own.keys.get(secret)
    if (known !== undefined) return known
    const made = this.#derive(this.#own.id, secret)
    keep(this.#own, secret, made, ring)
    return made
  }

  #derive(id: string, secret: Uint8Array): SenderKey {
    const derived = Buffer.from(hkdfSync('sha256', secret, this.#label, `datagram ${id}`, 32))
    return { derived, epoch: 0, window: new ReplayWindow() }
  }

  #maySeal(secret: Uint8Array): boolean {
    if (this.#sealKey !== secret) {
      this.#sealKey = secret
      this.#sealsWithKey = 0
    }
    return this.#sealsWithKey++ < sealsPerKeyMax && this.#counter < counterMax
  }

  #aad(packet: Buffer): Buffer {
    return Buffer.concat([packet.subarray(0, headerBytes), this.#label])
  }
}

/** What the ring holds no more opens nothing: whoever replays it is refused without being remembered. */
function keep(sender: Sender, secret: Uint8Array, key: SenderKey, ring: Keyring): void {
  const live = [ring.previous, ring.primary, ring.next].map((each) => each?.secret)
  for (const old of sender.keys.keys()) if (!live.includes(old)) sender.keys.delete(old)
  sender.keys.set(secret, key)
}

function dropped(reason: DropReason): Opened {
  return { ok: false, reason }
}

const idLength = 12

/** A node id (12 digits of base 36) as 8 bytes: 36^12 < 2^64. */
function packId(node: string): bigint {
  assert(/^[0-9a-z]{12}$/.test(node), 'a node id has 12 characters of [0-9a-z]')
  let packed = 0n
  for (const digit of node) packed = packed * 36n + BigInt(Number.parseInt(digit, 36))
  return packed
}

function unpackId(packed: bigint): string | undefined {
  const id = packed.toString(36)
  return id.length > idLength ? undefined : id.padStart(idLength, '0')
}
