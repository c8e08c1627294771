/**
 * manager: what a manager runs; most of it only while it leads.
 *
 * May import: everything below it except drivers. Must never know: how the process started, how tasks run.
 * @module
 */
export { ControlServer, type ControlWorld } from './control-server.js'
export { Manager } from './manager.js'
export type { Founding, ManagerOptions } from './options.js'
