import pc from 'picocolors'
import type { TextSink } from './world.js'

export interface Column<Item> {
  readonly head: string
  readonly text: (item: Item) => string
  /** Colour is never the only sign: the text says the same. */
  readonly tone?: (item: Item) => Tone
}

export type Tone = 'good' | 'bad' | 'waiting' | 'plain'

export interface TableOptions {
  /** Columns of the terminal; undefined: as wide as it gets. Only the last column is ever cut. */
  readonly width: number | undefined
  readonly paint: Paint
}

export type Paint = (tone: Tone, text: string) => string

const lastColumnMin = 8

/** Plain columns, two spaces apart, upper-case heads; the last column gives way when the terminal is narrow, none is hidden. */
export function table<Item>(items: readonly Item[], columns: readonly Column<Item>[], { width, paint }: TableOptions): string {
  const cells = items.map((item) => columns.map((column) => printable(column.text(item))))
  const heads = columns.map(({ head }) => head)
  const widths = columns.map((_, index) => Math.max(...[heads, ...cells].map((row) => widthOf(row[index] as string))))
  const last = columns.length - 1
  const before = widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0)
  if (width !== undefined) widths[last] = Math.min(widths[last] as number, Math.max(lastColumnMin, width - before))
  const line = (row: readonly string[], tones: readonly Tone[]): string =>
    row
      .map((cell, index) => {
        const room = widths[index] as number
        if (index === last) return paint(tones[index] ?? 'plain', cut(cell, room))
        return `${paint(tones[index] ?? 'plain', cell)}${' '.repeat(room - widthOf(cell))}  `
      })
      .join('')
      .trimEnd()
  const rows = cells.map((row, index) => {
    const tones = columns.map(({ tone }) => tone?.(items[index] as Item) ?? 'plain')
    return line(row, tones)
  })
  return `${[line(heads, []), ...rows].join('\n')}\n`
}

/** When it was created, as its age. */
export function createdColumn(nowMs: number): Column<{ readonly createdAt: Date }> {
  return { head: 'CREATED', text: ({ createdAt }) => `${age(createdAt, nowMs)} ago` }
}

export const labelsColumn: Column<{ readonly labels: Readonly<Record<string, string>> }> = {
  head: 'LABELS',
  text: ({ labels }) => labelTexts(labels).join(' '),
}

/** Each label as it is written on the command line. */
export function labelTexts(labels: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`)
}

/** Colours for this sink: only on a terminal, and never with NO_COLOR. */
export function paintFor(sink: TextSink, env: Readonly<Record<string, string | undefined>>): Paint {
  const wanted = sink.isTTY && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
  const { green, red, yellow } = pc.createColors(wanted)
  const painters = { good: green, bad: red, waiting: yellow, plain: (text: string) => text }
  return (tone, text) => painters[tone](text)
}

/** One line without control characters: what a task or a node says must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ')
}

/** The text in at most `room` columns, ending in … when something is missing. */
export function cut(text: string, room: number): string {
  if (widthOf(text) <= room) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    used += widthOf(character)
    if (used > room - 1) break
    kept += character
  }
  return `${kept}…`
}

/** Columns a text takes on a terminal. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text)
    width += /\p{Mn}|\u200d|\ufe0f/u.test(character) ? 0 : isWide(character.codePointAt(0) as number) ? 2 : 1
  return width
}

/** East Asian wide and emoji blocks (Unicode TR 11), as far as names are likely to use them. */
function isWide(point: number): boolean {
  return (
    (point >= 0x1100 && point <= 0x115f) ||
    (point >= 0x2e80 && point <= 0xa4cf) ||
    (point >= 0xac00 && point <= 0xd7a3) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0xfe30 && point <= 0xfe6f) ||
    (point >= 0xff00 && point <= 0xff60) ||
    (point >= 0x1f300 && point <= 0x1faff) ||
    (point >= 0x20000 && point <= 0x3fffd)
  )
}

/** `4s`, `3m`, `2h`, `5d`: how long ago, in its largest unit. */
export function age(at: Date, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - at.getTime()) / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

/** `512 B`, `64 MiB`, `7.8 GiB`. */
export function memory(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let amount = bytes
  let unit = 0
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024
    unit += 1
  }
  return `${Number(amount.toFixed(1))} ${units[unit]}`
}
