import { Agent, type AgentLink, type AgentOptions } from '../../lib/agent/index.js'
import { seededRandom } from '../../lib/base/random.js'
import type { RuntimeDriver } from '../../lib/drivers/driver.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { FakeDriver, FakeManager, lastingStorage } from './fakes.js'

export interface Bench {
  readonly agent: Agent
  readonly manager: FakeManager
  readonly driver: FakeDriver
  readonly clock: ManualClock
  readonly storage: ReturnType<typeof lastingStorage>
  /** One per connect, newest last. */
  readonly links: AbortController[]
  connectError: Error | undefined
  /** Aborts the newest link, as when the leader died. */
  loseLeader(): void
  /** Another agent on the same storage and the same manager: what a restarted peer makes. */
  again(driver?: RuntimeDriver, more?: Partial<AgentOptions>): Agent
}

export function bench(
  t: { teardown(act: () => unknown): void },
  more: Partial<AgentOptions> & { drivers?: readonly RuntimeDriver[] } = {},
): Bench {
  const manager = new FakeManager()
  const driver = new FakeDriver()
  const clock = new ManualClock()
  const storage = lastingStorage()
  const links: AbortController[] = []
  const make = (drivers: readonly RuntimeDriver[], other: Partial<AgentOptions> = {}): Agent => {
    const agent: Agent = new Agent({
      node: 'nnnnnnnnnnnn',
      description: async () => ({
        hostname: 'host',
        os: 'linux',
        arch: 'x64',
        pid: 1,
        resources: { cpuNanos: 2e9, memoryBytes: 4e9 },
        drivers: agent.driverNames,
      }),
      address: '127.0.0.1:7000',
      storage: storage.open(),
      clock,
      random: seededRandom(1),
      connect: async (): Promise<AgentLink> => {
        const link = new AbortController()
        links.push(link)
        if (self.connectError !== undefined) throw self.connectError
        return { api: manager, closed: link.signal }
      },
      ...more,
      ...other,
      drivers,
    })
    t.teardown(async () => {
      driver.stopErrors = 0
      driver.stopGate = undefined
      storage.failure = undefined
      for (const unit of driver.running) unit.exit({ code: 0 })
      await agent.stop({ drain: 'leave-tasks' })
    })
    return agent
  }
  const self: Bench = {
    agent: make(more.drivers ?? [driver]),
    manager,
    driver,
    clock,
    storage,
    links,
    connectError: undefined,
    loseLeader: () => links.at(-1)?.abort(),
    again: (driver2 = driver, other) => make([driver2], other),
  }
  return self
}
