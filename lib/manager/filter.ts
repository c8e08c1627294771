import type { Filter } from '../api/types.js'

/** Whether an object is one of those asked for: by the beginning of its name, and by labels it has to carry. Pure. */
export function fits(
  { name, labels = {} }: { readonly name: string; readonly labels?: Readonly<Record<string, string>> | undefined },
  filter: Filter,
): boolean {
  if (filter.name !== undefined && !name.startsWith(filter.name)) return false
  return Object.entries(filter.labels ?? {}).every(([key, value]) => labels[key] === value)
}
