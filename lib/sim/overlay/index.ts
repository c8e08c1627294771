export { type Conditions, calm, OverlayNetwork } from './conditions.js'
export { type MemberPhase, OverlaySim, type OverlaySimOptions, type SimNews } from './overlay-sim.js'
export * from './scenarios.js'
