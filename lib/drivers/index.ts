/**
 * drivers: what runs a task. A driver only runs; the agent decides.
 *
 * May import: base, model. Must never know: the cluster, sessions, why a task exists.
 * @module
 */
export type { Assigned, DriverDescription, LogOptions, RuntimeDriver, Unit, UnitEnd, UnitLogLine } from './driver.js'
export { type InlineContext, type InlineDriverOptions, type InlineFunction, inlineDriver } from './inline/inline-driver.js'
export { type ProcessDriverOptions, processDriver } from './process/process-driver.js'
export { DriverRegistry } from './registry.js'
