/**
 * ECDSA on P-256 with SHA-256 whose nonce follows from key and message: the same text signed by the same key gives the same bytes on
 * every machine. Only for the root that a founding token stands for, once per start; everything else is signed by Node itself.
 * Source: RFC 6979 §3.2; the one multiplication on the curve is Node's.
 */
import { createECDH, createHash, createHmac } from 'node:crypto'
import { assert } from '../base/assert.js'

/** Order of P-256's base point (FIPS 186-4 §D.1.2.3). */
export const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const bytesOfOrder = 32

/** 64 bytes, r and s. @param scalar the private key, from 1 to the order less 1 */
export function signDeterministically(scalar: bigint, message: Uint8Array): Uint8Array {
  assert(scalar > 0n && scalar < p256Order, 'a private key is a scalar of the curve')
  const hash = toNumber(createHash('sha256').update(message).digest()) % p256Order
  for (const nonce of nonces(toBytes(scalar), toBytes(hash))) {
    const r = toNumber(multiple(nonce).subarray(1, 1 + bytesOfOrder)) % p256Order
    const s = (power(nonce, p256Order - 2n) * (hash + r * scalar)) % p256Order // n is prime: k^(n-2) is 1/k
    if (r !== 0n && s !== 0n) return Buffer.concat([toBytes(r), toBytes(s)])
  }
  throw new Error('unreachable: nonces never end')
}

/** The public point of this scalar: 0x04, x, y. */
export function multiple(scalar: bigint): Buffer {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(toBytes(scalar))
  return curve.getPublicKey()
}

/** 32 bytes, the highest first. */
export function toBytes(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * bytesOfOrder, '0'), 'hex')
}

export function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** Candidates in the order of RFC 6979 §3.2; nearly always the first one serves. */
function* nonces(key: Uint8Array, hash: Uint8Array): Generator<bigint> {
  let v: Uint8Array = Buffer.alloc(bytesOfOrder, 1)
  let k: Uint8Array = Buffer.alloc(bytesOfOrder, 0)
  const next = (): void => {
    v = mac(k, v)
  }
  for (const mark of [0, 1]) {
    k = mac(k, v, Buffer.of(mark), key, hash)
    next()
  }
  for (;;) {
    next()
    const candidate = toNumber(v)
    if (candidate > 0n && candidate < p256Order) yield candidate
    k = mac(k, v, Buffer.of(0))
    next()
  }
}

function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = base % p256Order, left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % p256Order
    square = (square * square) % p256Order
  }
  return result
}
