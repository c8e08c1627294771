import type { Assigned } from '../../lib/drivers/driver.js'
import { plainTask } from '../../lib/testing/plain-task.js'

/** A task as a driver is given it: a plain one, but for what the test says. */
export function assigned(spec: Partial<Assigned['spec']>, more: Partial<Omit<Assigned, 'spec'>> = {}): Assigned {
  return {
    id: 'web.3.1',
    service: 'web',
    slot: '3',
    spec: { ...plainTask, command: [], ...spec },
    secrets: new Map(),
    configs: new Map(),
    ...more,
  }
}
