import type { NodeId } from '../../base/ids.js'

/** Members one accuser may be wrong about within `windowMs` before it is not listened to. */
const wrongMax = 5
const windowMs = 60_000
const accusersMax = 1024

interface Standing {
  /** Whom it accused wrongly, and when. */
  readonly wrong: Map<NodeId, number>
  ignoredUntilMs: number
}

/**
 * Who accuses the living. A member whose own network is half broken accuses everybody it fails to hear; after a few who
 * objected its word counts for nothing until it has been quiet for a while.
 * @see consul#5928: one such member set the whole group in motion
 */
export class Credibility {
  readonly #standings = new Map<NodeId, Standing>()

  isIgnored(accuser: NodeId, nowMs: number): boolean {
    return (this.#standings.get(accuser)?.ignoredUntilMs ?? 0) > nowMs
  }

  /** `subject` lives: the accuser had heard nothing of it. */
  refuted(accuser: NodeId, subject: NodeId, nowMs: number): void {
    const standing = this.#standings.get(accuser) ?? { wrong: new Map<NodeId, number>(), ignoredUntilMs: 0 }
    // Oldest first: what is past the window is forgotten without a look at all the rest.
    for (const [id, atMs] of standing.wrong) {
      if (nowMs - atMs <= windowMs) break
      standing.wrong.delete(id)
    }
    standing.wrong.delete(subject)
    standing.wrong.set(subject, nowMs)
    if (standing.wrong.size >= wrongMax) standing.ignoredUntilMs = nowMs + windowMs
    if (this.#standings.size < accusersMax || this.#standings.has(accuser)) this.#standings.set(accuser, standing)
  }

  prune(nowMs: number): void {
    for (const [accuser, { wrong, ignoredUntilMs }] of this.#standings) {
      const isOld = [...wrong.values()].every((atMs) => nowMs - atMs > windowMs)
      if (isOld && ignoredUntilMs <= nowMs) this.#standings.delete(accuser)
    }
  }
}
