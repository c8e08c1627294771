/** The lines of `Raft.step` that leave messages of earlier terms aside, and the same lines with one type let through. */
export const staleReturn = `        this.#answerStale(m)
        return
      }
      if (this.#refusesToListen(m)) return
      this.#meetHigherTerm(m)`

export function stalePassing(type) {
  return `        this.#answerStale(m)
        if (m.type !== '${type}') return
      } else {
        if (this.#refusesToListen(m)) return
        this.#meetHigherTerm(m)
      }`
}
