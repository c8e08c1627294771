/** Everything replicated is a row: one kind, one key, one frozen record. Apply, snapshot and disk speak of nothing else. */
import type { Cluster } from '../model/cluster.js'
import type { Outcome } from '../model/command.js'
import type { Config } from '../model/config.js'
import type { Network } from '../model/network.js'
import type { Node } from '../model/node.js'
import type { Secret } from '../model/secret.js'
import type { ResolvedServiceSpec, Service } from '../model/service.js'
import type { Task } from '../model/task.js'
import type { KeyValue } from './view.js'

/** What the tables count. */
export interface Counters {
  /** Handle of the next task; never reused. */
  readonly nextHandle: number
  /** Commands remembered so far; the next goes to place `requests mod requestsKept`. */
  readonly requests: number
}

/** A command applied lately, with its answer. */
export interface AnsweredRequest {
  readonly id: string
  readonly outcome: Outcome
}

/** `record` is undefined where there is no such row. */
export type Row =
  | { readonly kind: 'counters'; readonly key: ''; readonly record: Counters | undefined }
  | { readonly kind: 'cluster'; readonly key: ''; readonly record: Cluster | undefined }
  | { readonly kind: 'node'; readonly key: string; readonly record: Node | undefined }
  | { readonly kind: 'service'; readonly key: string; readonly record: Service | undefined }
  /** Key: `specKey(service, specVersion)`. */
  | { readonly kind: 'spec'; readonly key: string; readonly record: ResolvedServiceSpec | undefined }
  /** Last generation of a slot, kept after its tasks are gone. Key: `slotKey(service, slot)`. */
  | { readonly kind: 'slot'; readonly key: string; readonly record: number | undefined }
  /** Key: the task's handle. */
  | { readonly kind: 'task'; readonly key: number; readonly record: Task | undefined }
  | { readonly kind: 'kv'; readonly key: string; readonly record: KeyValue | undefined }
  /** Key: place in the ring. */
  | { readonly kind: 'request'; readonly key: number; readonly record: AnsweredRequest | undefined }
  | { readonly kind: 'secret'; readonly key: string; readonly record: Secret | undefined }
  | { readonly kind: 'config'; readonly key: string; readonly record: Config | undefined }
  | { readonly kind: 'network'; readonly key: string; readonly record: Network | undefined }

export type RowKind = Row['kind']
export type RowRef = { readonly kind: RowKind; readonly key: string | number }

/** In the order of a snapshot; a kind's place is its code on disk, so new ones go to the end. */
export const rowKinds: readonly RowKind[] = [
  'counters',
  'cluster',
  'node',
  'service',
  'spec',
  'slot',
  'task',
  'kv',
  'request',
  'secret',
  'config',
  'network',
]

export function specKey(service: string, specVersion: number): string {
  return `${service}/${specVersion}`
}

export function slotKey(service: string, slot: number): string {
  return `${service}/${slot}`
}

/** The two parts of a spec's or a slot's key. */
export function splitKey(key: string): readonly [service: string, number: number] {
  const cut = key.lastIndexOf('/')
  return [key.slice(0, cut), Number(key.slice(cut + 1))]
}
