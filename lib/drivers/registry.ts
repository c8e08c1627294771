import { SkeinError } from '../base/errors.js'
import type { RuntimeDriver } from './driver.js'

/** The runtime drivers of one peer, by name. */
export class DriverRegistry {
  readonly #drivers = new Map<string, RuntimeDriver>()

  /** @throws {SkeinError} ERR_SKEIN_INVALID_OPTION when two drivers share a name */
  constructor(drivers: readonly RuntimeDriver[]) {
    for (const driver of drivers) {
      if (this.#drivers.has(driver.name)) {
        throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `drivers: two are named "${driver.name}"; give each its own name`, {
          option: 'drivers',
          got: driver.name,
        })
      }
      this.#drivers.set(driver.name, driver)
    }
  }

  /** Sorted. */
  names(): readonly string[] {
    return [...this.#drivers.keys()].sort()
  }

  all(): readonly RuntimeDriver[] {
    return [...this.#drivers.values()]
  }

  /** @throws {SkeinError} ERR_SKEIN_NO_DRIVER naming what there is */
  get(name: string): RuntimeDriver {
    const driver = this.#drivers.get(name)
    if (driver !== undefined) return driver
    const available = this.names()
    const offer = available.length === 0 ? 'it has none' : `it has: ${available.join(', ')}`
    throw new SkeinError('ERR_SKEIN_NO_DRIVER', `this node has no driver "${name}"; ${offer}`, { driver: name, available })
  }
}
