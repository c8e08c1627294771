import type { RunnerStateMachine as StateMachine } from '../../lib/raft/index.js'

/** Keys and values in memory. A command: u16 key bytes, key, value. */
export class KvMachine implements StateMachine {
  readonly values = new Map<string, Uint8Array>()
  readonly appliedIndex = 0

  apply(data: Uint8Array): undefined {
    const keyEnd = 2 + (((data[0] as number) << 8) | (data[1] as number))
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length)
    this.values.set(bytes.toString('latin1', 2, keyEnd), bytes.subarray(keyEnd))
  }

  applied(): void {
    // Nothing to persist: the log and its snapshots have everything.
  }

  snapshot(): Iterable<Uint8Array> {
    // Values are replaced, never changed: this copy of the map is the state at this moment.
    return chunksOf([...this.values])
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
}

function* chunksOf(pairs: readonly (readonly [string, Uint8Array])[]): Iterable<Uint8Array> {
  for (let at = 0; at < pairs.length; at += 1000) {
    const parts = pairs.slice(at, at + 1000).flatMap(([key, value]) => {
      const head = Buffer.alloc(6)
      head.writeUInt16BE(key.length, 0)
      head.writeUInt32BE(value.length, 2)
      return [head, Buffer.from(key, 'latin1'), value]
    })
    yield Buffer.concat(parts)
  }
}
