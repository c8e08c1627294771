// Breakages of fast failover: what a peer does with evidence that its leader is dead (thesis §4.2.3, §9.6).
const file = 'succession.ts'
const section = 'fast failover'

export const succession = [
  {
    name: 'a peer takes the death of any peer for that of its leader',
    file,
    find: 'if (lead === id) {',
    replace: 'if (lead !== 0) {\n      id = lead',
    safety: false,
    section,
  },
  {
    name: 'a peer told of the death of its leader goes on refusing votes',
    file,
    find: '      this.#node.forgetLeader()\n',
    replace: '',
    safety: false,
    section,
  },
  {
    name: 'all ask at once when their leader is dead',
    file,
    find: '    this.#turnIn = term\n    return turn\n',
    replace: '    this.#turnIn = term\n    return 0\n',
    safety: false,
    section,
  },
  {
    name: 'a peer asks for votes when its turn comes, whatever it has given meanwhile',
    file,
    find: 'const isOurs = this.#turnIn === term && lead === 0',
    replace: 'const isOurs = lead === 0',
    safety: false,
    section,
  },
  {
    name: 'a peer takes its turn though it has heard its leader',
    file,
    find: 'const isOurs = this.#turnIn === term && lead === 0',
    replace: 'const isOurs = this.#turnIn === term',
    safety: false,
    section,
  },
  {
    name: 'a candidate never asks again when votes were split',
    file,
    find: "if (raftState !== 'StateCandidate' || wasCounting) this.#node.campaign()",
    replace: "if (raftState !== 'StateCandidate') this.#node.campaign()",
    safety: false,
    section,
  },
]
