import { hashText, mix } from '../../base/hash.js'
import type { MemberRecord, Share } from '../../overlay/swim/index.js'

/** Words on one member that are going round at a time: its last, those before it, each with what this and that accuser testified. */
const wordsOfOne = 128

/**
 * One object for all records that say the same: what 10,000 members know of 10,000 would be 100 million. It remembers the last record
 * of each hash; what it forgets is made once more, and costs memory only.
 */
export class RecordPool {
  readonly #slots: (MemberRecord | undefined)[]

  constructor(members: number) {
    const bits = Math.ceil(Math.log2(members * wordsOfOne))
    this.#slots = Array.from({ length: 2 ** bits })
  }

  readonly share: Share = (record) => {
    const at = hashOf(record) & (this.#slots.length - 1)
    const known = this.#slots[at]
    if (known !== undefined && isSame(known, record)) return known
    this.#slots[at] = record
    return record
  }
}

function hashOf({ id, epoch, incarnation, state, profile, accusations }: MemberRecord): number {
  let hash = mix(mix(hashText(id) ^ epoch) ^ incarnation)
  hash = mix(hash ^ (state.length + 8 * (profile === undefined ? 0 : profile.version + 1)))
  for (const { by, saw } of accusations) hash = mix(hash ^ hashText(by) ^ saw.length)
  return hash
}

function isSame(one: MemberRecord, other: MemberRecord): boolean {
  return (
    one === other ||
    (one.id === other.id &&
      one.epoch === other.epoch &&
      one.incarnation === other.incarnation &&
      one.state === other.state &&
      one.profileVersion === other.profileVersion &&
      one.profile === other.profile &&
      one.accusations.length === other.accusations.length &&
      one.accusations.every(({ by, saw }, at) => by === other.accusations[at]?.by && saw === other.accusations[at]?.saw))
  )
}
