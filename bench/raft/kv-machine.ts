import type { RunnerStateMachine as StateMachine } from '../../lib/raft/index.js'

/** Keys and values in memory. A command: u16 key bytes, key, value. */
export class KvMachine implements StateMachine {
  readonly values = new Map<string, Uint8Array>()
  readonly appliedIndex = 0

  apply(data: Uint8Array): undefined {
    const keyEnd = 2 + (((data[0] as number) << 8) | (data[1] as number))
    const key = Buffer.from(data.buffer, data.byteOffset, keyEnd).toString('latin1', 2)
    const value = new Uint8Array(data.buffer, data.byteOffset + keyEnd, data.length - keyEnd)
    // A copy: the entry's bytes belong to the log. Where it fits, into the old value's place.
    const old = this.values.get(key)
    if (old !== undefined && old.length === value.length) old.set(value)
    else this.values.set(key, new Uint8Array(value))
  }

  applied(): void {
    // Nothing to persist: the log and its snapshots have everything.
  }

  snapshot(): Iterable<Uint8Array> {
    // Values change in place, so all of them are written down before anything else is applied.
    return chunksOf(this.#encoded())
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(chunk)
    const bytes = Buffer.concat(parts)
    this.values.clear()
    for (let at = 0; at < bytes.length; ) {
      const [keyBytes, sizeBytes] = [bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2)]
      const keyEnd = at + 6 + keyBytes
      this.values.set(bytes.toString('latin1', at + 6, keyEnd), Buffer.from(bytes.subarray(keyEnd, keyEnd + sizeBytes)))
      at = keyEnd + sizeBytes
    }
  }

  #encoded(): Buffer {
    let sizeBytes = 0
    for (const [key, value] of this.values) sizeBytes += 6 + key.length + value.length
    const bytes = Buffer.allocUnsafe(sizeBytes)
    let at = 0
    for (const [key, value] of this.values) {
      at = bytes.writeUInt16BE(key.length, at)
      at = bytes.writeUInt32BE(value.length, at)
      at += bytes.write(key, at, 'latin1')
      bytes.set(value, at)
      at += value.length
    }
    return bytes
  }
}

const chunkBytes = 256 * 1024

function* chunksOf(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}
