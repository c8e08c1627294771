/** What a command did to the public tables, one change per object, and how it is told to watchers. */
import type { Cluster } from '../model/cluster.js'
import type { Network } from '../model/network.js'
import type { Node } from '../model/node.js'
import type { Service } from '../model/service.js'
import type { Task } from '../model/task.js'
import type { KeyValue } from './view.js'

type ChangeOf<Kind extends string, Item> =
  | { readonly type: 'set'; readonly kind: Kind; readonly version: number; readonly object: Item; readonly was: Item | undefined }
  | { readonly type: 'removed'; readonly kind: Kind; readonly version: number; readonly was: Item }

/** `version` is the raft index of the command; several changes share it. */
export type Change =
  | ChangeOf<'cluster', Cluster>
  | ChangeOf<'node', Node>
  | ChangeOf<'service', Service>
  | ChangeOf<'task', Task>
  | ChangeOf<'network', Network>
  | ChangeOf<'kv', KeyValue>

export type ChangeKind = Change['kind']

export type StoreChange =
  | Change
  /** Nothing new up to `version`, still connected. */
  | { readonly type: 'mark'; readonly version: number }
  /** Changes were lost to you: list again, then go on. */
  | { readonly type: 'resync'; readonly version: number }
