import { messageOf } from '../base/errors.js'
import { pick, type Random } from '../base/random.js'
import type { RaftId } from '../raft/core/state.js'
import { SimViolation } from './checks.js'
import { RaftSim, type Verdict } from './raft-sim.js'
import type { SimNode } from './sim-node.js'
import { calmed, chanceFor, type SimPlan, TICK } from './sim-plan.js'
import type { SimHooks } from './sim-world.js'

/**
 * One thing that happens to a group in which all else is well.
 * broken-link: two nodes lose the link between them for good, one way or both, and either may be told that the other is dead.
 * sleeper: a follower sleeps for some elections, again and again.
 * leader-dies: the process of the leader dies, and the others are told.
 */
export type Incident = 'broken-link' | 'sleeper' | 'leader-dies'

export interface FailoverOptions {
  readonly seed: number
  readonly incident: Incident
  readonly hooks?: SimHooks
  readonly trace?: (line: string) => void
  /** Chance that a sleeper counts all ticks it slept through before it reads a message. Default 1. */
  readonly hastyTimersRate?: number
}

/** Ticks from the death of a leader to the first commit of the next, at most: two, and some more when news are late or votes are split. */
export const FAILOVER_TICKS_MAX = 12
const PATIENT_TICKS = 100
const ELECTIONS_WATCHED = 20
/** Time units between two attempts to connect again. */
const REDIAL_EVERY = 50
const PROPOSE_EVERY = 20
/** Time units until a connection that was refused is tried again. */
const FAILED_DIAL = 10

/** Lets one incident happen to a group with a leader, and holds it to what must come of it: the same leader, or soon a new one. */
export function simulateFailover({ seed, incident, hooks = {}, trace, hastyTimersRate = 1 }: FailoverOptions): Verdict {
  const random = chanceFor(seed, 8)
  const nodes = pick(random, [3, 3, 5]) ?? 3
  const adjust = (plan: SimPlan): SimPlan => steady(plan, nodes, incident)
  const sim = new RaftSim({ seed, hooks, adjust, ...(trace === undefined ? {} : { trace }) })
  try {
    for (const node of sim.nodes) node.start()
    const leader = settled(sim)
    switch (incident) {
      case 'broken-link':
        breakLink(sim, leader, random)
        break
      case 'sleeper':
        sleep(sim, leader, random, hastyTimersRate)
        break
      case 'leader-dies':
        die(sim, leader)
    }
    return { outcome: 'held', seed, step: sim.step, counts: sim.checks.counts }
  } catch (error) {
    const check = error instanceof SimViolation ? error.check : 'core-threw'
    return { outcome: 'violated', seed, step: sim.step, check, message: messageOf(error), error }
  }
}

/** A group as it is by default, in a good world. */
function steady(plan: SimPlan, nodes: number, incident: Incident): SimPlan {
  const { core } = plan
  // Long enough that nobody's patience ends before evidence has done its work.
  const electionTick = incident === 'leader-dies' ? PATIENT_TICKS : Math.max(core.electionTick, 5)
  return { ...calmed(plan), nodes, core: { ...core, electionTick, preVote: true, checkQuorum: true, votePromise: 0 } }
}

/** Runs until everybody follows one leader and has what it has. */
function settled(sim: RaftSim): SimNode {
  for (;;) {
    sim.next()
    const leader = sim.leader()
    if (leader === undefined || leader.applied < 2) continue
    if (sim.nodes.every(({ leader: followed, applied }) => followed === leader.id && applied === leader.applied)) return leader
  }
}

function breakLink(sim: RaftSim, leader: SimNode, random: Random): void {
  const { id: one } = pick(random, sim.nodes) ?? leader
  const other = sim.nodes.map(({ id }) => id).filter((id) => id !== one)
  const far = pick(random, one === leader.id ? other : [leader.id, ...other]) as RaftId
  const way = pick(random, ['both', 'out', 'in', 'none'] as const)
  if (way === 'both' || way === 'out') sim.network.cut(one, far)
  if (way === 'both' || way === 'in') sim.network.cut(far, one)
  const told = pick(random, ['one', 'far', 'both', 'nobody'] as const)
  sim.trace?.(`      link ${one}-${far} breaks ${way}, ${told} told`)
  let nextDial = sim.now
  watch(sim, leader, () => {
    if (sim.now < nextDial) return
    nextDial = sim.now + REDIAL_EVERY
    if (told === 'one' || told === 'both') sim.after(random() * 5, { type: 'refused', node: one, by: far })
    if (told === 'far' || told === 'both') sim.after(random() * 5, { type: 'refused', node: far, by: one })
  })
}

function sleep(sim: RaftSim, leader: SimNode, random: Random, hastyTimersRate: number): void {
  const sleeper = pick(
    random,
    sim.nodes.filter((node) => node !== leader),
  ) as SimNode
  let nextSleep = sim.now
  watch(sim, leader, () => {
    if (sim.now < nextSleep) return
    const span = (1 + random() * 4) * sim.plan.core.electionTick * TICK
    nextSleep = sim.now + 2 * span
    sleeper.pause(sim.now + span, 'process')
    if (random() >= hastyTimersRate) return
    sim.after(span - 0.001, { type: 'wake', node: sleeper.id, life: sleeper.life, ticks: Math.floor(span / TICK) })
  })
}

/** Works for some elections; neither the leader nor any term may change. */
function watch(sim: RaftSim, leader: SimNode, disturb: () => void): void {
  const { term } = leader.view
  const end = sim.now + ELECTIONS_WATCHED * sim.plan.core.electionTick * TICK
  const before = sim.checks.lastCommitted
  let nextProposal = sim.now
  while (sim.now < end) {
    disturb()
    if (sim.now >= nextProposal) {
      nextProposal = sim.now + PROPOSE_EVERY
      sim.propose(leader)
    }
    sim.next()
    const moved = sim.nodes.find(({ view }) => view.term !== term)
    if (moved !== undefined || !leader.view.isLeader) {
      sim.checks.fail('leader-kept', `${leader.id} led term ${term} and reached a quorum, ${moved?.id} is at ${moved?.view.term}`)
      return
    }
  }
  if (sim.checks.lastCommitted === before) sim.checks.fail('leader-kept', `${leader.id} leads on and commits nothing`)
}

function die(sim: RaftSim, leader: SimNode): void {
  const before = sim.checks.lastCommitted
  const { term } = leader.view
  const diedAt = sim.now
  leader.crash()
  const isReplaced = () => sim.checks.lastCommitted > before && (sim.leader()?.view.term ?? 0) > term
  let nextDial = sim.now
  while (!isReplaced()) {
    // What it sent before may arrive after the first news of its death; whoever dials again hears it again.
    if (sim.now >= nextDial) {
      nextDial = sim.now + FAILED_DIAL
      for (const { id } of sim.nodes) {
        if (id !== leader.id) sim.after(sim.chance() * 3, { type: 'refused', node: id, by: leader.id })
      }
    }
    sim.next()
    if (sim.now > diedAt + FAILOVER_TICKS_MAX * TICK) {
      sim.checks.fail('quick-failover', `${leader.id} died, and after ${FAILOVER_TICKS_MAX} ticks nobody has taken its place`)
      return
    }
  }
}
