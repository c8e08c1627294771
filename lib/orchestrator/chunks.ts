/** Cuts a plan into commands of bounded size: raft heartbeats share the thread and the wire. */
import type { Op } from '../model/command.js'

/** Bounds of one command. */
export const taskOpsMax = 5_000
export const commandBytesMax = 256 * 1024

/** Generous estimate of an encoded operation without its tasks. */
const opBytes = 128

/** The operations in order, as few commands as fit the bounds; large operations are cut. */
export function chunksOf(ops: readonly Op[]): Op[][] {
  const chunks: Op[][] = []
  let chunk: Op[] = []
  let tasks = 0
  let bytes = 0
  for (const op of ops.flatMap(cut)) {
    const size = sizeOf(op)
    if (chunk.length > 0 && (tasks + size.tasks > taskOpsMax || bytes + size.bytes > commandBytesMax)) {
      chunks.push(chunk)
      chunk = []
      tasks = 0
      bytes = 0
    }
    chunk.push(op)
    tasks += size.tasks
    bytes += size.bytes
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}

/** Tasks an operation touches, and an estimate of its encoded bytes. */
export function sizeOf(op: Op): { readonly tasks: number; readonly bytes: number } {
  const tasks = tasksOf(op)
  return { tasks, bytes: opBytes + tasks * bytesPerTask(op) }
}

function tasksOf(op: Op): number {
  switch (op.op) {
    case 'tasks.create':
      return op.slotTo - op.slotFrom + 1
    case 'tasks.assign':
    case 'tasks.desire':
    case 'tasks.remove':
      return op.tasks.length
    case 'tasks.observe':
      return op.updates.length
    default:
      return 1
  }
}

function bytesPerTask(op: Op): number {
  switch (op.op) {
    case 'tasks.assign':
      return 5 + 14 // a handle and a node id
    case 'tasks.desire':
    case 'tasks.remove':
      return 5
    case 'tasks.observe':
      return op.updates.reduce((most, { message }) => Math.max(most, 32 + 3 * message.length), 0)
    default:
      return 0
  }
}

function cut(op: Op): Op[] {
  const perPiece = Math.max(1, Math.min(taskOpsMax, Math.floor((commandBytesMax - opBytes) / Math.max(1, bytesPerTask(op)))))
  const pieces: Op[] = []
  for (let from = 0; from < tasksOf(op); from += perPiece) pieces.push(pieceOf(op, from, from + perPiece))
  return pieces
}

function pieceOf(op: Op, from: number, to: number): Op {
  switch (op.op) {
    case 'tasks.create':
      return { ...op, slotFrom: op.slotFrom + from, slotTo: Math.min(op.slotTo, op.slotFrom + to - 1) }
    case 'tasks.assign':
      return { ...op, tasks: op.tasks.slice(from, to), nodes: op.nodes.slice(from, to) }
    case 'tasks.desire':
    case 'tasks.remove':
      return { ...op, tasks: op.tasks.slice(from, to) }
    case 'tasks.observe':
      return { ...op, updates: op.updates.slice(from, to) }
    default:
      return op
  }
}
