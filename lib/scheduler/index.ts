/**
 * scheduler: pending tasks meet nodes, and what finds no node says why. All pure.
 *
 * May import: base, model, store (the view). Must never know: links, the time of day, drivers.
 * Source: Docker Swarm's filters and spread strategy; the group kernel on columns is ours.
 * @module
 */
export { attributeOf, type Constraint, meetsConstraints, parseConstraints, parseSpread } from './constraints.js'
export { describeReason, type PlacementReason, type PlacementReport, summaryOf } from './explain.js'
export { groupKeyOf, specReader } from './groups.js'
export { type PlacementOptions, type PlacementPlan, type PlacementStep, placementSteps, planPlacement } from './scheduler.js'
