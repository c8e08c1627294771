import type { Clock } from '../base/clock.js'
import { Autopilot, type Look, resolveAutopilotOptions } from '../raft/autopilot/index.js'
import type { RaftRunner } from '../raft/runner/index.js'
import type { Duty } from './leadership.js'

export interface VoterKeeperWorld {
  readonly clock: Clock
  readonly raft: Pick<RaftRunner, 'status' | 'changeConf'>
  /** Voters to keep among the managers. */
  readonly voters: number
  readonly electionMs: number
}

/** Election timeouts a manager has been caught up before it votes, and of silence after which a voter is dead. */
const stableElections = 2
const deadElections = 30

/**
 * Leader's duty: of the managers, which are all members of raft, that many living ones vote and the others are spare. A dead voter
 * becomes a spare one, not a stranger: its record is the operator's, and when it comes back it waits for the next free place.
 */
export class VoterKeeper implements Duty {
  readonly name = 'voters'
  readonly #world: VoterKeeperWorld
  readonly #autopilot: Autopilot
  readonly #heardAtMs = new Map<number, number>()

  constructor(world: VoterKeeperWorld) {
    this.#world = world
    const { clock, raft, voters, electionMs } = world
    const times = { stableMs: stableElections * electionMs, deadMs: deadElections * electionMs }
    this.#autopilot = new Autopilot({
      clock,
      options: resolveAutopilotOptions({ voters, ...times }, electionMs),
      look: () => this.#look(),
      carryOut: async ({ act, id }) =>
        void (await raft.changeConf({ changes: [{ type: act === 'promote' ? 'v' : 'l', nodeId: id }] })),
    })
  }

  start(): void {
    this.#autopilot.start()
  }

  stop(): Promise<void> {
    return this.#autopilot.stop()
  }

  #look(): Look | undefined {
    const { clock, raft } = this.#world
    const { id: self, role, term, conf, commitIndex, progress, quorum } = raft.status()
    if (role !== 'leader') return undefined
    const isHeard = (id: number): boolean => quorum.answering.includes(id) || progress.get(id)?.recentActive === true
    for (const id of progress.keys()) if (isHeard(id)) this.#heardAtMs.set(id, clock.now())
    return { self, term, conf, commitIndex, progress, heardAtMs: (id) => this.#heardAtMs.get(id) }
  }
}
