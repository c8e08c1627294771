import { checkLabels } from '../model/check-node.js'

type Labels = Readonly<Record<string, string>>

/** Labels with these changes; null takes one away. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC with the label's path */
export function mergeLabels(was: Labels, changes: Readonly<Record<string, string | null>>): Labels {
  const merged: Record<string, string | null> = { ...was, ...changes }
  return checkLabels(Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null)))
}
