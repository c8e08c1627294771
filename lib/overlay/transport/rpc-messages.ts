import { unreachable } from '../../base/assert.js'
import { badMessage, channels, decode, encode, natural, string } from '../../wire/index.js'

/** What is asked for: one answer, a stream of items, or one answer to a stream of chunks. */
export type CallMode = 'call' | 'stream' | 'up'

/**
 * What two ends of a link say to each other about calls. A call's id is made by its caller: even by the end that dialled,
 * odd by the other, so the ids of both directions never meet. `item`, `credit` and `end` run from callee to caller in a
 * `stream` and from caller to callee in an `up`.
 */
export type RpcMessage =
  | {
      readonly type: 'call'
      readonly id: number
      readonly mode: CallMode
      readonly method: string
      readonly params: unknown
      readonly deadlineMs: number
    }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly code: string; readonly message: string; readonly detail: unknown }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'item'; readonly id: number; readonly value: unknown }
  | { readonly type: 'credit'; readonly id: number; readonly grantedBytes: number }
  | { readonly type: 'end'; readonly id: number }

/** On the wire a message is [number, id, …]: the place in this list is the number, for ever. */
const types = ['call', 'result', 'error', 'cancel', 'item', 'credit', 'end'] as const
const modes = ['call', 'stream', 'up'] as const
const methodMaxChars = 100

export function encodeRpc(message: RpcMessage): Uint8Array {
  return encode([types.indexOf(message.type), message.id, ...fieldsOf(message)])
}

/** @throws {SkeinError} ERR_SKEIN_BAD_MESSAGE */
export function decodeRpc(bytes: Uint8Array): RpcMessage {
  const fields = decode(bytes, channels.rpc.maxBytes)
  if (!Array.isArray(fields)) throw badMessage('rpc', 'an array', fields)
  const type = types[natural(fields[0], 'rpc[0]')]
  const id = natural(fields[1], 'rpc[1]')
  switch (type) {
    case 'call': {
      const mode = modes[natural(fields[2], 'rpc.mode')]
      const method = string(fields[3], 'rpc.method')
      if (mode === undefined) throw badMessage('rpc.mode', '0, 1 or 2', fields[2])
      if (method.length > methodMaxChars) throw badMessage('rpc.method', `at most ${methodMaxChars} characters`, method)
      return { type, id, mode, method, params: fields[4], deadlineMs: natural(fields[5], 'rpc.deadlineMs') }
    }
    case 'result':
    case 'item':
      return { type, id, value: fields[2] }
    case 'error':
      return { type, id, code: string(fields[2], 'rpc.code'), message: string(fields[3], 'rpc.message'), detail: fields[4] }
    case 'credit':
      return { type, id, grantedBytes: natural(fields[2], 'rpc.grantedBytes') }
    case 'cancel':
    case 'end':
      return { type, id }
    case undefined:
      throw badMessage('rpc[0]', 'a known message', fields[0])
    default:
      return unreachable(type)
  }
}

function fieldsOf(message: RpcMessage): readonly unknown[] {
  switch (message.type) {
    case 'call':
      return [modes.indexOf(message.mode), message.method, message.params, message.deadlineMs]
    case 'result':
    case 'item':
      return [message.value]
    case 'error':
      return [message.code, message.message, message.detail]
    case 'credit':
      return [message.grantedBytes]
    case 'cancel':
    case 'end':
      return []
    default:
      return unreachable(message)
  }
}
