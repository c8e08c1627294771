/**
 * raft/autopilot: membership that takes care of itself. A pure plan over what the leader sees, and the small runner that asks for it.
 *
 * May import: base, raft/core. Must never know: logs, frames, how a change is proposed, who the members are beside their raft ids.
 * Source: Ongaro 2014 §4.2; dead servers and stable ones as in hashicorp's raft-autopilot.
 * @module
 */
export { Autopilot, type AutopilotWorld } from './autopilot.js'
export { Health, type Look } from './health.js'
export { type AutopilotOptions, type ResolvedAutopilotOptions, resolveAutopilotOptions } from './options.js'
export {
  type AutopilotPlan,
  type AutopilotStep,
  type AutopilotView,
  type MemberHealth,
  planAutopilot,
  type Waiting,
} from './plan.js'
