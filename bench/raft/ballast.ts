import type { RunnerStateMachine as StateMachine } from '../../lib/raft/index.js'

/** No key is so long: the command is not the inner machine's. */
const growMark = 0xffff
const blockBytes = 256 * 1024
const innerTag = 0
const blockTag = 1

/** A machine whose state can be made large by one command; what it grew by is in its memory and in its snapshots, beside another's state. */
export class Ballast implements StateMachine {
  readonly appliedIndex = 0
  readonly #inner: StateMachine
  #blocks: Uint8Array[] = []

  constructor(inner: StateMachine) {
    this.#inner = inner
  }

  /** The commands that grow it by so many bytes: several, for none may take long. */
  static grow(sizeBytes: number): readonly Uint8Array[] {
    const command = Buffer.alloc(6)
    command.writeUInt16BE(growMark, 0)
    command.writeUInt32BE(16, 2)
    return Array.from({ length: Math.ceil(sizeBytes / blockBytes / 16) }, () => new Uint8Array(command))
  }

  apply(data: Uint8Array, at: { readonly index: number; readonly term: number }): unknown {
    const mark = ((data[0] as number) << 8) | (data[1] as number)
    if (mark !== growMark) return this.#inner.apply(data, at)
    const count = Buffer.from(data.buffer, data.byteOffset, data.length).readUInt32BE(2)
    for (let i = 0; i < count; i++) this.#blocks.push(Buffer.alloc(blockBytes, `${at.index} ${i} `))
    return this.#blocks.length
  }

  applied(index: number): void {
    this.#inner.applied(index)
  }

  async *#chunks(
    inner: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    blocks: readonly Uint8Array[],
  ): AsyncGenerator<Uint8Array> {
    for await (const chunk of inner) yield Buffer.concat([Buffer.of(innerTag), chunk])
    for (const block of blocks) yield Buffer.concat([Buffer.of(blockTag), block])
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Both are captured before this returns; blocks never change.
    return this.#chunks(this.#inner.snapshot(), [...this.#blocks])
  }

  async restore(chunks: AsyncIterable<Uint8Array>, at: { readonly index: number; readonly term: number }): Promise<void> {
    const blocks: Uint8Array[] = []
    await this.#inner.restore(withoutBlocks(chunks, blocks), at)
    this.#blocks = blocks
  }
}

/** The inner machine's chunks; blocks are kept aside. */
async function* withoutBlocks(chunks: AsyncIterable<Uint8Array>, blocks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (chunk[0] === blockTag) blocks.push(Uint8Array.prototype.slice.call(chunk, 1))
    else yield chunk.subarray(1)
  }
}
