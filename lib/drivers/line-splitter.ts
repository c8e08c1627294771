/** Bytes a line may have; a longer one is cut into several. Keeps one record, and so a reader's memory, small. */
export const lineBytesMax = 16 * 1024

const newline = 0x0a

/** Turns a stream of byte chunks into lines. Pure; holds at most one unfinished line. Bytes are kept as they are. */
export class LineSplitter {
  #rest: Uint8Array = new Uint8Array(0)

  /** The lines that `chunk` completes, without their newlines. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const lines: Uint8Array[] = []
    let from = 0
    for (;;) {
      const end = bytes.indexOf(newline, from)
      const stop = end === -1 ? bytes.length : end
      while (stop - from > lineBytesMax) {
        const cut = cutBefore(bytes, from + lineBytesMax, from)
        lines.push(bytes.subarray(from, cut))
        from = cut
      }
      if (end === -1) break
      lines.push(bytes.subarray(from, end))
      from = end + 1
    }
    // A copy, so that a short rest does not keep a whole chunk alive.
    this.#rest = Uint8Array.prototype.slice.call(bytes, from)
    return lines
  }

  /** The unfinished last line, if there is one. */
  end(): Uint8Array[] {
    const rest = this.#rest
    this.#rest = new Uint8Array(0)
    return rest.length === 0 ? [] : [rest]
  }
}

/** The last place at or before `at` that does not cut a UTF-8 character; `at` itself when the bytes are no UTF-8. */
function cutBefore(bytes: Uint8Array, at: number, from: number): number {
  for (let cut = at; cut > at - 4 && cut > from; cut--) {
    const isContinuation = ((bytes[cut] ?? 0) & 0xc0) === 0x80
    if (!isContinuation) return cut
  }
  return at
}
