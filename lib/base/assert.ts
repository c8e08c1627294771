/** A claim about our own code turned out false. Stops this peer, never the host process. */
export class SkeinBug extends Error {
  override readonly name = 'SkeinBug'
}

/** Asserts a claim about our own code; stays on in production. @throws {SkeinBug} */
export function assert(claim: boolean, words: string): asserts claim {
  if (!claim) throw new SkeinBug(words)
}

/** Marks the branch no value can reach; a new union member fails to compile here. @throws {SkeinBug} */
export function unreachable(value: never): never {
  throw new SkeinBug(`unreachable: ${String(value)}`)
}
