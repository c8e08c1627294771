/**
 * sim: a raft group in one thread, from a seed. Finds what goes wrong between nodes, and replays it.
 *
 * May import: anything. Must never know: the wall clock, real sockets, real disks.
 * Source: Ongaro 2014 for the claims; the phases (anything fails, then a healed quorum must work while the rest stays broken, then all converge) after TigerBeetle's VOPR.
 * @module
 */
export { type CheckName, claims, type RunCounts, SimViolation } from './checks.js'
export { FAILOVER_TICKS_MAX, type FailoverOptions, type Incident, simulateFailover } from './failover.js'
export { type CheckOptions, checkHistory, type HistoryVerdict, type Operation, parseHistory } from './linearizability/index.js'
export { type SimOptions, simulate, type Verdict } from './raft-sim.js'
export { type Shorter, shrink } from './shrink.js'
export { type Ingredient, ingredients, type SimPlan } from './sim-plan.js'
export type { SimCore, SimCoreConfig, SimHooks } from './sim-world.js'
