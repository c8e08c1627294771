import { assert } from '../../base/assert.js'
import { entrySizeBytes } from './entries.js'
import type { Entry, EntryType } from './state.js'

/** The newest entries stay as they came: they are about to be sent and applied. At twice as many, the older half is packed. */
const looseEntries = 1024
const pageEntriesMax = 256
const pageBytesMax = 64 * 1024

/** Entries of one type and term, their data back to back. */
interface Page {
  readonly firstIndex: number
  readonly type: EntryType
  readonly term: number
  /** Where the data of each entry ends in `bytes`. */
  readonly ends: Uint32Array
  readonly bytes: Uint8Array
}

/**
 * A stretch of the log without a gap. All but the newest entries are packed into pages: a hundred thousand entries that wait for
 * the next snapshot are then a few hundred objects, where the garbage collector would otherwise find and move each of them.
 */
export class EntryPages {
  /** Of the first entry that is here, or of the next one to come. */
  #firstIndex: number
  /** Oldest first. The first one may begin before `firstIndex`. */
  #pages: Page[] = []
  #loose: Entry[] = []
  /** Index of `loose[0]`, or of the next entry to come. */
  #looseIndex: number

  constructor(firstIndex: number) {
    this.#firstIndex = firstIndex
    this.#looseIndex = firstIndex
  }

  get firstIndex(): number {
    return this.#firstIndex
  }

  /** One below `firstIndex` when there is no entry. */
  get lastIndex(): number {
    return this.#looseIndex + this.#loose.length - 1
  }

  /** Undefined when the entry is not here. */
  term(index: number): number | undefined {
    if (index < this.#firstIndex) return undefined
    if (index >= this.#looseIndex) return this.#loose[index - this.#looseIndex]?.term
    return this.#pages[this.#pageAt(index)]!.term
  }

  /** Entries [lo, hi), which are here: as many as `maxBytes` allow, but at least one. */
  slice(lo: number, hi: number, maxBytes: number): readonly Entry[] {
    assert(this.#firstIndex <= lo && lo <= hi && hi <= this.lastIndex + 1, 'a slice lies within the entries')
    const entries: Entry[] = []
    let sizeBytes = 0
    for (let index = lo, at = lo < this.#looseIndex ? this.#pageAt(lo) : 0; index < hi; index++) {
      let entry: Entry
      if (index >= this.#looseIndex) entry = this.#loose[index - this.#looseIndex]!
      else {
        if (index === endOf(this.#pages[at]!)) at++
        entry = unpack(this.#pages[at]!, index)
      }
      sizeBytes += entrySizeBytes(entry)
      if (sizeBytes > maxBytes && index > lo) break
      entries.push(entry)
    }
    return entries
  }

  /** Adds entries that follow the last one. */
  append(entries: readonly Entry[], from = 0): void {
    assert(entries[from]?.index === this.lastIndex + 1, 'entries follow the log without a gap')
    for (let at = from; at < entries.length; at++) this.#loose.push(entries[at]!)
    if (this.#loose.length >= 2 * looseEntries) this.#pack(this.#loose.length - looseEntries)
  }

  /** Drops the entry at `index`, which may be the next to come, and all behind it. */
  truncateFrom(index: number): void {
    assert(this.#firstIndex <= index && index <= this.lastIndex + 1, 'what is cut off is here')
    if (index >= this.#looseIndex) {
      this.#loose.length = index - this.#looseIndex
      return
    }
    const at = this.#pageAt(index)
    const page = this.#pages[at]!
    this.#pages.length = at
    if (page.firstIndex < index) this.#pages.push({ ...page, ends: page.ends.subarray(0, index - page.firstIndex) })
    this.#loose = []
    this.#looseIndex = index
  }

  /** Drops all entries up to `index`, which is here. */
  dropTo(index: number): void {
    assert(this.#firstIndex <= index && index <= this.lastIndex, 'what is dropped is here')
    this.#firstIndex = index + 1
    if (index >= this.#looseIndex) {
      this.#loose = this.#loose.slice(index + 1 - this.#looseIndex)
      this.#looseIndex = index + 1
      this.#pages = []
    } else if (index + 1 < this.#looseIndex) this.#pages = this.#pages.slice(this.#pageAt(index + 1))
    else this.#pages = []
  }

  /** Where the page of a packed entry is. */
  #pageAt(index: number): number {
    let [low, high] = [0, this.#pages.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#pages[middle]!.firstIndex <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Packs the oldest loose entries. */
  #pack(count: number): void {
    for (let from = 0; from < count; ) {
      const { type, term } = this.#loose[from]!
      let [to, sizeBytes] = [from, 0]
      while (to < count && to - from < pageEntriesMax) {
        const entry = this.#loose[to]!
        const isTooMuch = to > from && sizeBytes + entry.data.length > pageBytesMax
        if (entry.type !== type || entry.term !== term || isTooMuch) break
        sizeBytes += entry.data.length
        to++
      }
      this.#pages.push(pack(this.#loose, from, to, sizeBytes))
      from = to
    }
    this.#loose = this.#loose.slice(count)
    this.#looseIndex += count
  }
}

function pack(entries: readonly Entry[], from: number, to: number, sizeBytes: number): Page {
  const { index, type, term } = entries[from]!
  const bytes = new Uint8Array(sizeBytes)
  const ends = new Uint32Array(to - from)
  let end = 0
  for (let at = from; at < to; at++) {
    const { data } = entries[at]!
    bytes.set(data, end)
    end += data.length
    ends[at - from] = end
  }
  return { firstIndex: index, type, term, ends, bytes }
}

function unpack({ firstIndex, type, term, ends, bytes }: Page, index: number): Entry {
  const at = index - firstIndex
  const [start, end] = [at === 0 ? 0 : ends[at - 1]!, ends[at]!]
  return { type, term, index, data: new Uint8Array(bytes.buffer, start, end - start) }
}

/** Index behind the page's last entry. */
function endOf({ firstIndex, ends }: Page): number {
  return firstIndex + ends.length
}
