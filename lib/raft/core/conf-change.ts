import { SkeinError } from '../../base/errors.js'
import type { ConfChange, ConfChangeSingle, Entry, EntryType, RaftId } from './state.js'

/**
 * A configuration change as entry data: ASCII, `v3 r1`, led by `implicit` or `explicit` where the transition is not automatic.
 * The automatic change of nothing is empty data; it leaves a joint configuration.
 */
export function encodeConfChange(change: ConfChange): { readonly type: EntryType; readonly data: Uint8Array } {
  const words = change.changes.map(({ type, nodeId }) => {
    if (!singleForm.test(`${type}${nodeId}`) || !Number.isSafeInteger(nodeId)) {
      throw badChange(`change ${type}${nodeId}: expected one of v, l, r, u and a raft id from 1`)
    }
    return `${type}${nodeId}`
  })
  if (change.v1 === true) {
    if (words.length !== 1) throw badChange(`a v1 change changes one peer, got ${words.length}: leave out v1`)
  } else if (change.transition === 'implicit' || change.transition === 'explicit') {
    words.unshift(change.transition)
  }
  return { type: change.v1 === true ? 'EntryConfChange' : 'EntryConfChangeV2', data: Buffer.from(words.join(' '), 'latin1') }
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE if the data is no configuration change */
export function decodeConfChange(
  entry: Pick<Entry, 'type' | 'data' | 'index'>,
): ConfChange & Required<Pick<ConfChange, 'transition'>> {
  const text = Buffer.from(entry.data).toString('latin1')
  const words = text === '' ? [] : text.split(' ')
  const transition = words[0] === 'implicit' || words[0] === 'explicit' ? words[0] : 'auto'
  const changes = (transition === 'auto' ? words : words.slice(1)).map((word) => parseSingle(word, entry.index))
  if (entry.type === 'EntryConfChangeV2') return { transition, changes }
  if (entry.type === 'EntryConfChange' && transition === 'auto' && changes.length === 1) return { v1: true, transition, changes }
  throw badData(entry.index, `${entry.type} with ${changes.length} changes`)
}

const singleForm = /^([vlru])([1-9]\d{0,15})$/

function parseSingle(word: string, index: number): ConfChangeSingle {
  const [, type, digits] = singleForm.exec(word) ?? []
  const nodeId: RaftId = Number(digits)
  if (type === undefined || !Number.isSafeInteger(nodeId)) throw badData(index, `'${word.slice(0, 40)}'`)
  return { type: type as ConfChangeSingle['type'], nodeId }
}

function badChange(message: string): SkeinError {
  return new SkeinError('ERR_SKEIN_CONF_CHANGE', message, { what: 'encode' })
}

function badData(index: number, got: string): SkeinError {
  return new SkeinError('ERR_SKEIN_BAD_MESSAGE', `entry ${index}: expected a configuration change such as 'v3 r1', got ${got}`, {
    path: `entries/${index}/data`,
  })
}

/** True for entries that change the configuration when they are applied. */
export function isConfChange(entry: Pick<Entry, 'type'>): boolean {
  return entry.type !== 'EntryNormal'
}

/** How a change is carried out: leave the joint configuration, change one voter at once, or enter a joint configuration. */
export type ConfChangePlan = 'leave-joint' | 'simple' | 'enter-joint' | 'enter-joint-auto-leave'

export function planConfChange({ v1 = false, transition = 'auto', changes }: ConfChange): ConfChangePlan {
  if (v1) return 'simple'
  if (transition === 'explicit') return 'enter-joint'
  if (transition === 'implicit' || changes.length > 1) return 'enter-joint-auto-leave'
  return changes.length === 0 ? 'leave-joint' : 'simple'
}
