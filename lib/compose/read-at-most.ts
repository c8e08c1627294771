import { close, constants, fstat, open, read } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal, type Readable } from 'node:stream'
import { isatty, ReadStream } from 'node:tty'
import { promisify } from 'node:util'

/** Reads the first bytes of a file: all of it, if it is not longer. */
export type ReadFile = (file: string, bytesMax: number) => Promise<Uint8Array>

// By number: the stream of a pipe closes what it reads, and a handle would close it once more.
const [opened, stats, bytesOf, closed] = [promisify(open), promisify(fstat), promisify(read), promisify(close)]

/**
 * The first bytes of a file; one without an end (a device, a pipe that never closes its flood) is not read further. A pipe and a
 * terminal are waited for, a pipe for its first writer too, until they end or the signal fires. Rejects with what the system says.
 */
export async function readAtMost(file: string, bytesMax: number, signal?: AbortSignal): Promise<Uint8Array> {
  // A pipe nobody writes to, or a device with nothing to say, would block a thread, and the end of the process waits for its threads.
  const fd = await opened(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)) // Windows has no such flag
  let stream: Readable | undefined
  try {
    if (isatty(fd)) stream = new ReadStream(fd)
    else if ((await stats(fd)).isFIFO()) stream = new Socket({ fd, readable: true, writable: false })
    return stream === undefined ? await contentOf(fd, bytesMax) : await readStreamAtMost(stream, bytesMax, signal)
  } finally {
    if (stream === undefined) await closed(fd)
  }
}

/** The first bytes of a stream, which is closed then. */
export async function readStreamAtMost(stream: Readable, bytesMax: number, signal?: AbortSignal): Promise<Uint8Array> {
  if (signal !== undefined) addAbortSignal(signal, stream)
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= bytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, bytesMax)
}

async function contentOf(fd: number, bytesMax: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(bytesMax)
  let length = 0
  while (length < bytesMax) {
    const { bytesRead } = await bytesOf(fd, bytes, length, bytesMax - length, null)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}
