import { resolveServiceSpec } from '../model/resolve-service.js'

/** What a service that says nothing but a command gives its tasks. */
export const plainTask = resolveServiceSpec({ name: 'web', task: { command: ['work'] } }).resolved.task
