/**
 * Writes DER, for certificates of our own making. There is no reader: what a stranger sends is never parsed as ASN.1 here.
 * Source: ITU-T X.690 §8, §10 and §11.
 */
import { assert } from '../base/assert.js'

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return value(tags.sequence, Buffer.concat(parts))
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  // DER wants the elements of a SET OF in order (X.690 §11.6).
  return value(tags.set, Buffer.concat([...parts].sort(Buffer.compare)))
}

export function boolean(claim: boolean): Buffer {
  return value(tags.boolean, Buffer.of(claim ? 0xff : 0))
}

/** A whole number that is not negative, big-endian. */
export function integer(bytes: Uint8Array | number): Buffer {
  const whole = typeof bytes === 'number' ? bytesOf(bytes) : Buffer.from(bytes)
  let from = 0
  while (from < whole.length - 1 && whole[from] === 0) from++
  const short = whole.subarray(from)
  // A leading one bit would make it negative.
  const isHigh = ((short[0] ?? 0) & 0x80) !== 0
  return value(tags.integer, isHigh || short.length === 0 ? Buffer.concat([Buffer.of(0), short]) : short)
}

/** @param unusedBits at the end of the last byte, as for named bits. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return value(tags.bitString, Buffer.concat([Buffer.of(unusedBits), bytes]))
}

export function octetString(bytes: Uint8Array): Buffer {
  return value(tags.octetString, bytes)
}

export function utf8String(text: string): Buffer {
  return value(tags.utf8String, Buffer.from(text))
}

/** @param dotted such as 1.2.840.10045.4.3.2 */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const septets = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) septets.unshift((left % 128) + 128)
    return septets
  })
  return value(tags.oid, Buffer.from(bytes))
}

/** Whole seconds; two digits of the year until 2049, four from 2050 (RFC 5280 §4.1.2.5). */
export function time(atMs: number): Buffer {
  const [date = '', clock = ''] = new Date(atMs).toISOString().split('T')
  const [year = '', month, day] = date.split('-')
  assert(year.length === 4, 'a certificate ends before the year 10000')
  const digits = `${month}${day}${clock.slice(0, 8).replaceAll(':', '')}Z`
  const isShort = Number(year) >= 1950 && Number(year) < 2050
  return isShort
    ? value(tags.utcTime, Buffer.from(year.slice(2) + digits))
    : value(tags.generalizedTime, Buffer.from(year + digits))
}

/** A context tag around a whole value. */
export function explicit(tag: number, inner: Uint8Array): Buffer {
  return value(0xa0 + tag, inner)
}

/** A context tag in place of a primitive value's own. */
export function implicit(tag: number, bytes: Uint8Array): Buffer {
  return value(0x80 + tag, bytes)
}

function value(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content])
}

function lengthOf(length: number): Buffer {
  if (length < 128) return Buffer.of(length)
  const bytes = bytesOf(length)
  return Buffer.concat([Buffer.of(0x80 + bytes.length), bytes])
}

function bytesOf(number: number): Buffer {
  assert(Number.isSafeInteger(number) && number >= 0, 'a DER number is whole and not negative')
  const bytes = [number % 256]
  for (let left = Math.floor(number / 256); left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256)
  return Buffer.from(bytes)
}
