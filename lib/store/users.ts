import type { Service } from '../model/service.js'

/** Services that a refusal names at most. */
const namedMax = 10

/** The services that keep something from being removed, by name, and how many more. */
export function namedUsers(services: readonly Service[]): string {
  const more = services.length > namedMax ? ` and ${services.length - namedMax} more` : ''
  const names = services.slice(0, namedMax).map(({ spec }) => spec.name)
  return `${names.join(', ')}${more}`
}
