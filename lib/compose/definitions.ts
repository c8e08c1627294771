import { type Field, wrong } from './fields.js'
import { type Findings, pathTo } from './notes.js'
import type { Source } from './source.js'

/** Every entry under a key of the top level, wherever in the file that stands: services before it may refer to it. */
export function definitionsOf(
  root: Source,
  key: 'secrets' | 'configs' | 'networks',
  findings: Findings,
): readonly (Field & { readonly key: string })[] {
  const entry = root.kind === 'map' ? root.entries.find((each) => each.key === key) : undefined
  if (entry === undefined) return []
  if (entry.value.kind !== 'map') {
    wrong({ path: key, line: entry.line, source: entry.value }, `a map of ${key}`, findings)
    return []
  }
  return entry.value.entries.map(({ key: name, line, value }) => ({ key: name, path: pathTo(key, name), line, source: value }))
}
