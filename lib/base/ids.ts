import { SkeinError } from './errors.js'
import type { Random } from './random.js'

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** A node's id: 12 characters of [0-9a-z], made once, never reused. */
export type NodeId = Brand<string, 'NodeId'>
/** A cluster's id: 12 characters of [0-9a-z], made at founding. */
export type ClusterId = Brand<string, 'ClusterId'>

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'
const idForm = /^[0-9a-z]{12}$/

/** 12 characters of [0-9a-z]: 62 bits, enough that ids made apart never meet. */
export function makeId(random: Random): string {
  let id = ''
  while (id.length < 12) id += alphabet[Math.floor(random() * alphabet.length)]
  return id
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function parseNodeId(value: unknown, path = 'node'): NodeId {
  return parseId(value, path) as NodeId
}

function parseId(value: unknown, path: string): string {
  if (typeof value === 'string' && idForm.test(value)) return value
  throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', `${path}: expected 12 characters of [0-9a-z], got ${String(value)}`, { path })
}
