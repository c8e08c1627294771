/**
 * agent: the worker's end. Makes what is assigned to this node true here, and says what is.
 *
 * May import: base, model, wire, storage, api, drivers, overlay/transport. Must never know: raft, the store.
 * Source: Docker Swarm's agent.
 * @module
 */
export { Agent, type AgentLink, type AgentOptions, type AgentStopOptions } from './agent.js'
export type { TaskWitness } from './task-witness.js'
