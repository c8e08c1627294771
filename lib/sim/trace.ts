import type { Message } from '../raft/core/messages.js'
import { configText } from './configurations.js'
import type { SimEvent } from './sim-world.js'

/** One line for a message, with the fields that are not zero. */
export function describeMessage(message: Message): string {
  const { type, from, to, term, logTerm, index, entries, commit, vote, snapshot, reject, rejectHint } = message
  const words = [`${from}→${to} ${type} term ${term}`]
  if (index !== 0 || logTerm !== 0) words.push(`at ${logTerm}/${index}`)
  if (entries.length > 0) words.push(`entries ${entries.map((entry) => `${entry.term}/${entry.index}`).join(' ')}`)
  if (commit !== 0) words.push(`commit ${commit}`)
  if (vote !== 0) words.push(`vote ${vote}`)
  if (snapshot !== null) words.push(`snapshot ${snapshot.term}/${snapshot.index} ${configText(snapshot.confState)}`)
  if (reject) words.push(`rejected, hint ${logTerm}/${rejectHint}`)
  return words.join(', ')
}

/** One line for an event that is about to happen. */
export function describeEvent(event: SimEvent): string {
  switch (event.type) {
    case 'deliver':
      return `deliver ${event.sender === event.message.from ? '' : `by ${event.sender}: `}${describeMessage(event.message)}`
    case 'tick':
    case 'synced':
    case 'applied':
    case 'flush':
    case 'wake':
    case 'impatient':
    case 'lease-read':
    case 'turn':
    case 'restart':
      return `${event.type} ${event.node}`
    case 'unreachable':
      return `${event.node} finds ${event.to} unreachable`
    case 'refused':
      return `${event.node} is told that ${event.by} is dead`
    case 'snapshot-sent':
      return `${event.node} learns that its snapshot ${event.arrived ? 'reached' : 'did not reach'} ${event.to}`
    case 'work':
    case 'trouble':
      return event.type
  }
}
