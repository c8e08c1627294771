/** Configs: payloads that lie open, for tasks and for whoever operates the cluster. */
import type { PayloadHead } from './payload.js'

/** The replicated record. */
export interface Config extends PayloadHead {
  readonly data: Uint8Array
}
