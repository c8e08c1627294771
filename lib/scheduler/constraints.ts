/** Placement constraints in Swarm's syntax: `node.labels.zone == eu`, `node.role != manager`. Parser and matcher. */
import { SkeinError } from '../base/errors.js'
import type { Node } from '../model/node.js'

/** One parsed constraint; `text` is as the user wrote it, for explanations. */
export interface Constraint {
  readonly text: string
  readonly attribute: Attribute
  readonly equal: boolean
  /** Lower case, and normalised as the attribute is: what a node's value is compared with. */
  readonly value: string
}

/** What a constraint or a spread preference may ask of a node. */
export type Attribute =
  | { readonly name: 'id' | 'hostname' | 'name' | 'role' | 'os' | 'arch' }
  | { readonly name: 'label'; readonly label: string }

const keyForm = /^[a-z_][a-z0-9\-_.]+$/i
const valueForm = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i
const labelPrefix = 'node.labels.'
const attributes: Readonly<Record<string, Attribute>> = {
  'node.id': { name: 'id' },
  'node.hostname': { name: 'hostname' },
  'node.name': { name: 'name' },
  'node.role': { name: 'role' },
  'node.platform.os': { name: 'os' },
  'node.platform.arch': { name: 'arch' },
}
const knownKeys = `${Object.keys(attributes).join(', ')}, ${labelPrefix}NAME`

/** Different words for one thing: what Node.js, uname and Docker call it. */
const sameArch: Readonly<Record<string, string>> = {
  x64: 'amd64',
  x86_64: 'amd64',
  aarch64: 'arm64',
  ia32: '386',
  i386: '386',
  i686: '386',
}
const sameOs: Readonly<Record<string, string>> = { win32: 'windows', macos: 'darwin' }

/**
 * Parses constraints, all of which must hold.
 * @param path Key path of the list, for the message.
 * @throws {SkeinError} ERR_SKEIN_INVALID_SPEC naming the constraint and what is wrong with it
 * @see Docker Swarm's constraint syntax
 */
export function parseConstraints(texts: readonly string[], path = 'placement.constraints'): readonly Constraint[] {
  return texts.map((text, index) => {
    const parsed = readConstraint(text)
    if (typeof parsed !== 'string') return parsed
    throw new SkeinError('ERR_SKEIN_INVALID_SPEC', `${path}[${index}]: '${text}': ${parsed}`, {
      path: `${path}[${index}]`,
      got: text,
    })
  })
}

/**
 * Parses spread preferences: attributes over whose values tasks are evened out, in order.
 * @throws {SkeinError} ERR_SKEIN_INVALID_SPEC naming the preference
 */
export function parseSpread(keys: readonly string[], path = 'placement.spread'): readonly Attribute[] {
  return keys.map((key, index) => {
    const attribute = readAttribute(key.trim())
    if (attribute !== undefined) return attribute
    throw new SkeinError('ERR_SKEIN_INVALID_SPEC', `${path}[${index}]: '${key}': expected one of ${knownKeys}`, {
      path: `${path}[${index}]`,
      got: key,
    })
  })
}

/** The constraint, or what is wrong with the text. */
function readConstraint(text: string): Constraint | string {
  const operator = /==|!=/.exec(text)
  if (operator === null) return `expected 'KEY == VALUE' or 'KEY != VALUE'`
  const key = text.slice(0, operator.index).trim()
  const value = text.slice(operator.index + 2).trim()
  if (!keyForm.test(key)) return `'${key}' is not a key`
  if (!valueForm.test(value)) return value === '' ? 'the value is missing' : `'${value}' is not a value`
  const attribute = readAttribute(key)
  if (attribute === undefined) return `unknown key '${key}'; expected one of ${knownKeys}`
  return { text: text.trim(), attribute, equal: operator[0] === '==', value: comparable(attribute, value) }
}

/** The attributes among the keys; what is none was refused when the spec came in. */
export function readSpread(keys: readonly string[]): readonly Attribute[] {
  return keys.flatMap((key) => readAttribute(key.trim()) ?? [])
}

/** Keys are read without regard to case; the names of labels are not. */
function readAttribute(key: string): Attribute | undefined {
  const lower = key.toLowerCase()
  if (lower.startsWith(labelPrefix)) {
    const label = key.slice(labelPrefix.length)
    return label === '' ? undefined : { name: 'label', label }
  }
  return Object.hasOwn(attributes, lower) ? attributes[lower] : undefined
}

/** A node's value of an attribute as constraints compare it: lower case; '' when it has none, so that `!=` holds. */
export function attributeOf(node: Node, attribute: Attribute): string {
  return comparable(attribute, rawValue(node, attribute))
}

function rawValue(node: Node, attribute: Attribute): string {
  switch (attribute.name) {
    case 'id':
      return node.id
    case 'hostname':
      return node.description?.hostname ?? ''
    case 'name':
      return node.name
    case 'role':
      return node.role
    case 'os':
      return node.description?.os ?? ''
    case 'arch':
      return node.description?.arch ?? ''
    case 'label':
      return (Object.hasOwn(node.labels, attribute.label) ? node.labels[attribute.label] : undefined) ?? ''
  }
}

function comparable(attribute: Attribute, value: string): string {
  const lower = value.toLowerCase()
  if (attribute.name === 'arch') return sameArch[lower] ?? lower
  if (attribute.name === 'os') return sameOs[lower] ?? lower
  return lower
}

/** True when the node meets the constraint. */
export function meets(node: Node, constraint: Constraint): boolean {
  return (attributeOf(node, constraint.attribute) === constraint.value) === constraint.equal
}

/** True when the node meets them all; a text that is no constraint is met by no node. */
export function meetsConstraints(node: Node, texts: readonly string[]): boolean {
  return readConstraints(texts).every((constraint) => typeof constraint !== 'string' && meets(node, constraint))
}

/** Specs live long and are asked about for every task: each list is parsed once. */
const parsed = new WeakMap<readonly string[], readonly (Constraint | string)[]>()

/** Each constraint, or what is wrong with it. */
export function readConstraints(texts: readonly string[]): readonly (Constraint | string)[] {
  let constraints = parsed.get(texts)
  if (constraints === undefined) {
    constraints = texts.map(readConstraint)
    parsed.set(texts, constraints)
  }
  return constraints
}
