/**
 * compose: a stack file becomes service specs, or one message that names everything wrong with it.
 *
 * May import: base, model. Must never know: clusters, peers, how a spec is carried out.
 * Pure but for `load.ts`, which reads the stack file, the `.env` beside it and the files of its configs.
 * Source: the Compose specification for the keys; Docker's `stack deploy` for names and labels.
 * @module
 */
export { type ConfigPlan, configPlan } from './config-plan.js'
export { type DeployPlan, deployPlan, namespaceLabel } from './deploy-plan.js'
export { parseDurationMs } from './duration.js'
export { type EnvFile, parseEnvFile } from './env-file.js'
export { type Environment, type Interpolation, interpolate } from './interpolate.js'
export { type LoadStackOptions, loadStack, type Stack, type StackConfig } from './load.js'
export { parseMemoryBytes } from './memory.js'
export { nearest } from './nearest.js'
export type { StackNetwork } from './networks.js'
export type { Note } from './notes.js'
export { parseStack } from './stack.js'
export { splitWords, type Words } from './words.js'
