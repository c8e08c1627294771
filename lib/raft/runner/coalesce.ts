/**
 * Fewer messages that say the same. The core sends eagerly, one append for each proposal and one answer for each append
 * (so that etcd's scripts can watch it); what gathers while a write is under way may travel as one.
 *
 * Each result is one that the core could have sent itself, or follows from losing a message that a later one outdates:
 * the network may do that too, so nothing here can weaken safety.
 */
import { type Entry, entriesSizeBytes, type Message, makeMessage } from '../core/index.js'

/** A merged append is no larger than this, in bytes of entries, so that a frame of a link holds it; a single larger one stays as it is. */
const appendMaxBytes = 56 * 1024

/**
 * Messages to one peer, in order: appends that continue one another become one append with the newest commit index,
 * answers that acknowledge ever more become the last of them.
 */
export function coalesce(messages: readonly Message[]): readonly Message[] {
  if (messages.length < 2) return messages
  const result: Message[] = []
  let run = new AppendRun(messages[0] as Message)
  for (let at = 1; at < messages.length; at++) {
    const message = messages[at] as Message
    if (run.takes(message)) continue
    result.push(run.message())
    run = new AppendRun(message)
  }
  result.push(run.message())
  return result
}

/**
 * Promises of one write, to whomever: an acknowledgement goes where a later one to the same peer, of the same term,
 * acknowledges as much or more. Everything else stays, in order.
 */
export function latestAcknowledgements(responses: readonly Message[]): readonly Message[] {
  if (responses.length < 2) return responses
  const kept: Message[] = []
  const newest = new Map<number, Message>()
  for (let at = responses.length - 1; at >= 0; at--) {
    const message = responses[at] as Message
    if (isAcknowledgement(message)) {
      const later = newest.get(message.to)
      if (later !== undefined && outdates(later, message)) continue
      newest.set(message.to, message)
    }
    kept.push(message)
  }
  return kept.reverse()
}

function isAcknowledgement(m: Message): boolean {
  return m.type === 'MsgAppResp' && !m.reject
}

function outdates(later: Message, earlier: Message): boolean {
  return later.term === earlier.term && later.index >= earlier.index
}

/** A message, and what was merged into it. */
class AppendRun {
  #head: Message
  /** Once something was merged: all entries, else undefined. */
  #entries: Entry[] | undefined
  #sizeBytes = 0
  #commit: number

  constructor(head: Message) {
    this.#head = head
    this.#commit = head.commit
    if (head.type === 'MsgApp') this.#sizeBytes = entriesSizeBytes(head.entries)
  }

  /** Merges the next message if that changes nothing but the count. */
  takes(next: Message): boolean {
    const head = this.#head
    if (next.type !== head.type || next.term !== head.term || next.from !== head.from) return false
    if (isAcknowledgement(head) && isAcknowledgement(next) && outdates(next, head)) {
      this.#head = next
      return true
    }
    return next.type === 'MsgApp' && this.#continues(next) && this.#append(next)
  }

  message(): Message {
    const { type, from, to, term, index, logTerm } = this.#head
    if (this.#entries === undefined && this.#commit === this.#head.commit) return this.#head
    const entries = this.#entries ?? this.#head.entries
    return makeMessage(type, from, to, term, { index, logTerm, entries, commit: this.#commit })
  }

  /** The append begins where this one ends, and knows of no less committed. */
  #continues(next: Message): boolean {
    const entries = this.#entries ?? this.#head.entries
    const last = entries[entries.length - 1]
    const [index, term] = last === undefined ? [this.#head.index, this.#head.logTerm] : [last.index, last.term]
    return next.index === index && next.logTerm === term && next.commit >= this.#commit
  }

  #append(next: Message): boolean {
    const sizeBytes = entriesSizeBytes(next.entries)
    if (sizeBytes > 0 && this.#sizeBytes + sizeBytes > appendMaxBytes) return false
    if (next.entries.length > 0) {
      this.#entries ??= [...this.#head.entries]
      for (let at = 0; at < next.entries.length; at++) this.#entries.push(next.entries[at] as Entry)
      this.#sizeBytes += sizeBytes
    }
    this.#commit = next.commit
    return true
  }
}
