/** The contract with every invariant checked after every step. */

import type { RaftOptions } from '../../lib/raft/core/index.js'
import { CheckedNode } from './core/harness.js'

export * from './contract.js'

/** A core whose elections are etcd's, message for message. */
export class RawNode extends CheckedNode {
  constructor(options: RaftOptions) {
    super({ ...options, electionsAsInEtcd: true })
  }
}
