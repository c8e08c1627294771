/** The candidate a mistyped word most likely meant, or undefined when none is near enough to be worth saying. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase()
  let best: string | undefined
  let bestDistance = Math.floor(typed.length / 3) + 1
  for (const candidate of candidates) {
    const extends_ = typed.length >= 3 && candidate.startsWith(typed) // `env` for `environment`
    const distance = extends_ ? 0.5 : editDistance(typed, candidate, bestDistance)
    if (distance >= bestDistance) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; `bound` once it is at least that. */
function editDistance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound
  let twoAgo: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + (same ? 0 : 1),
      )
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cost = Math.min(cost, (twoAgo[column - 2] as number) + 1)
      current.push(cost)
    }
    twoAgo = last
    last = current
  }
  return last[b.length] as number
}
