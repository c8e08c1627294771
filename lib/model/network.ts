/** Networks: names that services share so that their tasks find each other. A service that names none belongs to the default one. */
import type { NamedHead } from './head.js'
import { check, listOf, text } from './validate.js'

/** Networks one service may belong to. */
export const networksMax = 16
/** Networks of one cluster: managers hold a scope of gossip for each, and compare each of them about once a second. */
export const networksOfClusterMax = 1_000

// The form of service names (Swarm's for networks too), written so that it never backtracks.
const nameForm = /^(?=.{1,63}$)[A-Za-z0-9](?:[-_A-Za-z0-9]*[A-Za-z0-9])?$/
const nameSchema = text(nameForm, '1 to 63 letters, digits, - and _, first and last a letter or digit')

/** In a service's spec. */
export const networkNamesSchema = listOf(nameSchema, networksMax, 'networks, each by name')

/** The replicated record. */
export type Network = NamedHead

/** A network of a stored spec: by id, so that a later one of the same name never takes its place. */
export interface NetworkRef {
  readonly id: string
  readonly name: string
}

/** It is always there, has no record on disk, and cannot be removed: a cluster founded before there were networks has it too. */
export const defaultNetwork: Network = Object.freeze({
  id: 'default',
  name: 'default',
  labels: Object.freeze({}),
  createdAtMs: 0,
  updatedAtMs: 0,
  version: 0,
})

/** @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkNetworkName(value: unknown, path = 'name'): string {
  return check(nameSchema, value, path)
}
