import type { Assigned } from '../../lib/drivers/driver.js'

/** A task as a driver is given it: what a service that says nothing gets, but for what the test says. */
export function assigned(spec: Partial<Assigned['spec']>, more: Partial<Omit<Assigned, 'spec'>> = {}): Assigned {
  return {
    id: 'web.3.1',
    service: 'web',
    slot: '3',
    spec: {
      driver: 'process',
      command: [],
      env: {},
      workingDir: undefined,
      stopSignal: 'SIGTERM',
      stopGraceMs: 10_000,
      reserve: { cpuNanos: 0, memoryBytes: 0 },
      limit: { cpuNanos: undefined, memoryBytes: undefined },
      options: undefined,
      secrets: [],
      configs: [],
      networks: [{ id: 'default', name: 'default' }],
      ...spec,
    },
    secrets: new Map(),
    configs: new Map(),
    ...more,
  }
}
