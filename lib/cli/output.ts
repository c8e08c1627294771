import { type Column, type Paint, paintFor, table } from './print.js'
import type { CliWorld } from './world.js'

export type Format = 'table' | 'json' | 'jsonl'

export interface OutputOptions {
  readonly format: Format
  /** Only ids, in the table format. */
  readonly quiet: boolean
  readonly wide: boolean
}

/** Data goes to stdout, words go to stderr. With `json` stdout holds exactly one JSON value. */
export class Output {
  readonly options: OutputOptions
  readonly paint: Paint
  readonly #world: CliWorld

  constructor(world: CliWorld, options: OutputOptions) {
    this.#world = world
    this.options = options
    this.paint = paintFor(world.stdout, world.env)
  }

  /** Words for people. */
  say(text: string): void {
    this.#world.stderr.write(`${text}\n`)
  }

  list<Item>(
    list: { readonly items: readonly Item[]; readonly version: number; readonly stale: boolean },
    columns: readonly Column<Item>[],
    idOf: (item: Item) => string,
  ): void {
    const { items, stale } = list
    if (stale) this.sayStale()
    const { format, quiet, wide } = this.options
    if (format === 'json') this.#json(list)
    else if (format === 'jsonl') for (const item of items) this.#json(stale ? { ...item, stale } : item)
    else if (quiet) for (const item of items) this.#text(`${idOf(item)}\n`)
    else this.#text(table(items, columns, { width: wide ? undefined : this.#world.stdout.columns, paint: this.paint }))
  }

  /** One answer: `text` in the table format, `id` alone when quiet. */
  value(value: object, text: string, id: string): void {
    if (this.options.format !== 'table') this.#json(value)
    else this.#text(`${this.options.quiet ? id : text}\n`)
  }

  /** One of many lines as they come: a log line, an event. */
  line(value: object, text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    if (this.options.format !== 'table') this.#json(value)
    else if (stream === 'stdout') this.#text(`${text}\n`)
    else this.#world.stderr.write(`${text}\n`)
  }

  /** An object for people to read whole: indented JSON in every format but `jsonl`. */
  whole(value: object): void {
    this.#text(`${JSON.stringify(value, jsonValue, this.options.format === 'jsonl' ? 0 : 2)}\n`)
  }

  bytes(bytes: Uint8Array): void {
    this.#world.stdout.write(bytes)
  }

  sayStale(): void {
    this.say('(stale: this manager has no quorum)')
  }

  #json(value: unknown): void {
    this.#text(`${JSON.stringify(value, jsonValue)}\n`)
  }

  #text(text: string): void {
    this.#world.stdout.write(text)
  }
}

/** Bytes are text where they are UTF-8, else base64 and say so. */
function jsonValue(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const bytes = this[key] // `value` is what a Buffer makes of itself: a list of numbers
  if (!(bytes instanceof Uint8Array)) return value
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    // Not UTF-8: the only other outcome of a fatal decoder.
    return { base64: Buffer.from(bytes).toString('base64') }
  }
}
