import type { ConfState, RaftId } from '../raft/core/state.js'

/**
 * Quorums as the paper defines them, written without the core's code on purpose: a mistake there must not hide here.
 *
 * Source: Ongaro 2014 §4.3 (joint consensus: a decision needs a majority of both halves).
 */
export function hasQuorum(config: ConfState, says: (node: RaftId) => boolean): boolean {
  return hasMajority(config.voters, says) && (config.votersOutgoing.length === 0 || hasMajority(config.votersOutgoing, says))
}

function hasMajority(voters: readonly RaftId[], says: (node: RaftId) => boolean): boolean {
  let count = 0
  for (const voter of voters) if (says(voter)) count++
  return count * 2 > voters.length
}

/** True when no quorum of one configuration can decide without a node that also decides in every quorum of the other. */
export function quorumsMeet(one: ConfState, other: ConfState): boolean {
  const nodes = [...new Set([...votersOf(one), ...votersOf(other)])]
  for (let side = 0; side < 1 << nodes.length; side++) {
    const isOnSide = (node: RaftId): boolean => (side & (1 << nodes.indexOf(node))) !== 0
    if (hasQuorum(one, isOnSide) && hasQuorum(other, (node) => !isOnSide(node))) return false
  }
  return true
}

export function isJoint(config: ConfState): boolean {
  return config.votersOutgoing.length > 0
}

/** Voters of both halves, each once. */
export function votersOf(config: ConfState): readonly RaftId[] {
  return isJoint(config) ? [...new Set([...config.voters, ...config.votersOutgoing])] : config.voters
}

/** Voters and learners, each once. */
export function membersOf(config: ConfState): readonly RaftId[] {
  return [...new Set([...config.voters, ...config.votersOutgoing, ...config.learners, ...config.learnersNext])]
}

/** One text for equal configurations, whatever order their lists are in. */
export function configText(config: ConfState): string {
  const list = (ids: readonly RaftId[]): string => [...ids].sort((a, b) => a - b).join(',')
  const outgoing = isJoint(config) ? ` out(${list(config.votersOutgoing)})` : ''
  const learners = config.learners.length > 0 ? ` learn(${list(config.learners)})` : ''
  const next = config.learnersNext.length > 0 ? ` next(${list(config.learnersNext)})` : ''
  return `(${list(config.voters)})${outgoing}${learners}${next}${config.autoLeave ? ' auto' : ''}`
}

/** What is wrong with the configuration by itself; undefined when nothing is. */
export function configFault(config: ConfState): string | undefined {
  const voters = votersOf(config)
  if (config.voters.length === 0) return 'no voter'
  for (const learner of config.learners) if (voters.includes(learner)) return `${learner} is learner and voter`
  for (const next of config.learnersNext) {
    if (!config.votersOutgoing.includes(next)) return `${next} shall become a learner but is no outgoing voter`
  }
  if (!isJoint(config) && config.autoLeave) return 'leaves automatically but is not joint'
  if (!isJoint(config) && config.learnersNext.length > 0) return 'learnersNext outside a joint configuration'
  return undefined
}
