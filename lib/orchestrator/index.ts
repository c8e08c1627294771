/**
 * orchestrator: wishes become tasks. Every planner is pure, looks at the whole view, and stays calm: planned twice, the second plan is empty.
 * reconciler.ts is the one loop that carries plans out; it alone holds a timer and a promise.
 *
 * May import: base, model, store (the view), scheduler. Must never know: links to nodes, drivers.
 * Source: Docker Swarm's orchestrators, restart supervisor, enforcer and reaper, as functions instead of loops with timers in memory.
 * @module
 */
export { planEnforcement } from './enforcer.js'
export { fencedAfterMs, type Silence } from './fencing.js'
export { type Plan, type Planner, type PlanStep, runPlanner } from './plan.js'
export { planReaping } from './reaper.js'
export { Reconciler, type ReconcilerDeps } from './reconciler.js'
export { planServices } from './replicated.js'
export { exhausted, isExhausted, type SlotEnd, slotEnd } from './slot-end.js'
export { isAway } from './task-facts.js'
export { isCurrent } from './update.js'
