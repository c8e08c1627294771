/** What a user wishes for: the spec as it is stored, and the record around it. Defaults are filled by `resolveServiceSpec`. */

import type { NetworkRef } from './network.js'
import type { PayloadRef } from './payload.js'

export interface TaskTemplate {
  /** Runtime driver by name. Default 'process'. */
  readonly driver?: string
  /** What to run; for `process` the file and its arguments, for `inline` the function's name and its arguments. */
  readonly command?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Working directory on the node that runs it; absolute. */
  readonly workingDir?: string
  /** Signal that asks the task to stop. Default 'SIGTERM'. */
  readonly stopSignal?: string
  /** Milliseconds between the stop signal and SIGKILL. Default 10,000. */
  readonly stopGraceMs?: number
  /**
   * Milliseconds without a manager after which the task's own node stops it, from 5,000 to 3,600,000; left out: it runs on. What replaces
   * it starts only when it is certainly over: for a task of which there must never be two. The longer, the later it is replaced.
   */
  readonly selfFenceAfterMs?: number
  /** Secrets that its tasks may read: by name, or with the name of the file they are found under. At most 64. */
  readonly secrets?: readonly (string | SecretUse)[]
  /** Configs that its tasks are given: by name, or with the path they are found under. At most 64. */
  readonly configs?: readonly (string | ConfigUse)[]
  /** Networks that its tasks belong to, by name. Default: the network `default` alone. At most 16. */
  readonly networks?: readonly string[]
  readonly resources?: {
    readonly reserve?: { readonly cpus?: number; readonly memoryBytes?: number }
    readonly limit?: { readonly cpus?: number; readonly memoryBytes?: number }
  }
  /** Driver-specific; passed through. */
  readonly options?: unknown
}

export interface SecretUse {
  /** The secret's name. */
  readonly secret: string
  /** Name of the file, or key of the map, in which a task finds it. Default: the secret's name. */
  readonly target?: string
}

export interface ConfigUse {
  /** The config's name. */
  readonly config: string
  /** Path of the file, or key of the map, in which a task finds it; a slash it begins with is left out. Default: the config's name. */
  readonly target?: string
}

export interface Placement {
  /** `node.labels.zone == eu` and the like; all must hold. */
  readonly constraints?: readonly string[]
  /** `node.labels.zone`, …: spread evenly over the values, in order. */
  readonly spread?: readonly string[]
  /** At most this many tasks of the service on one node; 0: no bound. */
  readonly maxPerNode?: number
}

export interface RestartPolicy {
  /** Default 'any'. */
  readonly when?: 'any' | 'on-failure' | 'none'
  /** Milliseconds before the replacement may start. Default 5,000. */
  readonly delayMs?: number
  /** Restarts per slot and spec version; 0: no bound (default). */
  readonly attemptsMax?: number
  /** Only restarts within this many milliseconds count against `attemptsMax`; 0: all (default). */
  readonly windowMs?: number
}

export interface ServiceSpec {
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  readonly task: TaskTemplate
  readonly mode?: { readonly replicas: number }
  readonly placement?: Placement
  readonly restart?: RestartPolicy
}

/** A spec with every default filled in. */
export interface ResolvedServiceSpec {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly task: {
    readonly driver: string
    readonly command: readonly string[]
    readonly env: Readonly<Record<string, string>>
    readonly workingDir: string | undefined
    readonly stopSignal: string
    readonly stopGraceMs: number
    readonly selfFenceAfterMs: number | undefined
    readonly reserve: { readonly cpuNanos: number; readonly memoryBytes: number }
    readonly limit: { readonly cpuNanos: number | undefined; readonly memoryBytes: number | undefined }
    readonly options: unknown
    readonly secrets: readonly PayloadRef[]
    readonly configs: readonly PayloadRef[]
    /** At least one. */
    readonly networks: readonly NetworkRef[]
  }
  readonly mode: { readonly replicas: number }
  readonly placement: { readonly constraints: readonly string[]; readonly spread: readonly string[]; readonly maxPerNode: number }
  readonly restart: {
    readonly when: 'any' | 'on-failure' | 'none'
    readonly delayMs: number
    readonly attemptsMax: number
    readonly windowMs: number
  }
}

/** The replicated record of a wish. */
export interface Service {
  readonly id: string
  /** As the user gave it. */
  readonly spec: ServiceSpec
  readonly previous: ServiceSpec | undefined
  /** Rises when what a task is made of changes (task, placement, restart); scaling does not raise it. */
  readonly specVersion: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  /** Raft index of the last change of the spec: what an update is compared against. */
  readonly version: number
}
