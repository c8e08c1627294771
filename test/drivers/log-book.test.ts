import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { LogOptions, UnitLogLine } from '../../lib/drivers/driver.js'
import { LineSplitter, lineBytesMax } from '../../lib/drivers/line-splitter.js'
import { LogBook } from '../../lib/drivers/log-book.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const bytesMax = 2 * lineBytesMax

t.test('lines come out the same however the bytes are cut into chunks', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })),
      fc.array(fc.integer({ min: 1, max: 7 })),
      (texts, cuts) => {
        const lines = texts.map((text) => text.replaceAll('\n', ' '))
        const whole = bytes(lines.map((line) => `${line}\n`).join(''))
        const splitter = new LineSplitter()
        const found: Uint8Array[] = []
        for (let from = 0, i = 0; from < whole.length; i++) {
          const size = cuts[i % Math.max(1, cuts.length)] ?? whole.length
          found.push(...splitter.push(whole.subarray(from, from + size)))
          from += size
        }
        found.push(...splitter.end())
        return found.map((line) => Buffer.from(line).toString()).join('\n') === lines.join('\n')
      },
    ),
  )
})

t.test('a long line is cut, without cutting a character, and without losing a byte', async (t) => {
  for (const character of ['x', 'é', '✓', '🧶']) {
    const text = character.repeat(50_000)
    const splitter = new LineSplitter()
    const lines = [...splitter.push(bytes(text)), ...splitter.end()]
    t.equal(lines.map((line) => Buffer.from(line).toString()).join(''), text)
    t.ok(
      lines.every((line) => line.length <= lineBytesMax),
      `lines of ${character} are bounded`,
    )
  }
})

t.test('a long line is not held: only its unfinished end is', async (t) => {
  const splitter = new LineSplitter()
  for (let i = 0; i < 100; i++) t.ok(splitter.push(new Uint8Array(64 * 1024).fill(0x61)).length >= 3)
  t.ok((splitter.end()[0]?.length ?? 0) <= lineBytesMax)
})

t.test('bytes that are no UTF-8 survive as far as text can', async (t) => {
  const splitter = new LineSplitter()
  const bad = Uint8Array.from([0x61, 0xff, 0xfe, 0x80, 0x0a])
  t.same([...(splitter.push(bad)[0] ?? [])], [0x61, 0xff, 0xfe, 0x80])
  const many = new Uint8Array(50_000).fill(0x80)
  const lines = [...splitter.push(many), ...splitter.end()]
  t.equal(
    lines.reduce((sum, line) => sum + line.length, 0),
    many.length,
  )
  const book = new LogBook({ bytesMax, filesMax: 2 })
  book.append('stdout', [bad.subarray(0, 4), bytes('next')])
  t.same(await texts(book), ['a\ufffd\ufffd\ufffd', 'next'])
})

for (const body of ['memory', 'files'] as const) {
  const make = (t: { testdir(): string }, filesMax = 2): LogBook =>
    new LogBook({ dir: body === 'files' ? t.testdir() : undefined, bytesMax, filesMax })

  t.test(`${body}: what is kept is always the newest lines, whole and in order, within the bound`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 20 }), { maxLength: 30 }),
        async (batches) => {
          const book = make(t)
          const all: string[] = []
          for (const sizes of batches) {
            const lines = sizes.map((size) => `${all.length + size}:`.padEnd(size, 'x'))
            all.push(...lines)
            await book.append('stdout', lines.map(bytes))
          }
          const kept = await texts(book)
          await book.remove()
          const keptBytes = kept.reduce((sum, line) => sum + line.length, 0)
          const mustKeepAll = all.reduce((sum, line) => sum + line.length + 40, 0) <= bytesMax
          return (
            kept.join('\n') === all.slice(all.length - kept.length).join('\n') &&
            keptBytes <= 2 * bytesMax &&
            (kept.length === all.length || !mustKeepAll)
          )
        },
      ),
      { numRuns: body === 'files' ? 30 : 100 },
    )
  })

  t.test(`${body}: a follower sees each line once, across rotation, and ends with the log`, async (t) => {
    const book = make(t, 100)
    const followed = texts(book, { follow: true })
    const written: string[] = []
    for (let i = 0; i < 200; i++) {
      written.push(`${i} `.padEnd(1000, '.'))
      await book.append(i % 2 === 0 ? 'stdout' : 'stderr', [bytes(written[i] ?? '')])
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await book.close()
    t.same(await followed, written)
  })

  t.test(`${body}: a tail goes on where it ended`, async (t) => {
    const book = make(t)
    for (const text of ['1', '2', '3', '4']) await book.append('stdout', [bytes(text)])
    const lines = book.read({ tail: 2, follow: true })
    t.equal((await lines.next()).value?.text, '3')
    await book.append('stdout', [bytes('5')])
    t.equal((await lines.next()).value?.text, '4')
    t.equal((await lines.next()).value?.text, '5')
    await book.close()
    t.equal((await lines.next()).done, true)
  })

  t.test(`${body}: a follower that was overtaken is told that lines are missing`, async (t) => {
    const book = make(t)
    const lines = book.read({ follow: true })
    await book.append('stdout', [bytes('first')])
    t.equal((await lines.next()).value?.text, 'first')
    for (let i = 0; i < 200; i++) await book.append('stdout', [bytes(`${i} `.padEnd(1000, '.'))])
    t.match((await lines.next()).value, { stream: 'stderr', text: /lines are missing here/ })
    await book.close()
    const rest: string[] = []
    for await (const line of lines) rest.push(line.text)
    t.match(rest.at(-1), /^199 /)
  })

  t.test(`${body}: after its end a log takes no more lines`, async (t) => {
    const book = make(t)
    await book.append('stdout', [bytes('in time')])
    await book.close()
    await book.append('stdout', [bytes('too late')])
    t.same(await texts(book), ['in time'])
    await book.remove()
    t.same(await texts(book), [])
  })
}

t.test('files: never more files than asked for, none longer than asked for', async (t) => {
  const dir = t.testdir()
  const book = new LogBook({ dir, bytesMax, filesMax: 3 })
  for (let i = 0; i < 50; i++) await book.append('stdout', Array(7).fill(bytes('x'.repeat(1000))))
  await book.close()
  await new Promise((resolve) => setImmediate(resolve))
  const files = readdirSync(dir)
  t.ok(files.length >= 3, 'rotation happened')
  for (const file of files) t.ok(statSync(join(dir, file)).size <= bytesMax, file)
  await book.remove()
})

t.test('files: a line that cannot be written is counted, and the ones after it are kept', async (t) => {
  const dir = t.testdir()
  mkdirSync(join(dir, '1.log'))
  const book = new LogBook({ dir, bytesMax, filesMax: 2 })
  await book.append('stdout', [bytes('lost'), bytes('lost too')])
  t.equal(book.linesLost, 2)
  t.match(book.lossReason, /EISDIR/)
  t.same(await texts(book), [])
  rmdirSync(join(dir, '1.log'))
  await book.append('stdout', [bytes('kept')])
  t.same(await texts(book), ['kept'])
  t.equal(book.linesLost, 2)
  await book.close()
})

async function texts(book: LogBook, options: LogOptions = {}): Promise<string[]> {
  const found: UnitLogLine[] = []
  for await (const line of book.read(options)) found.push(line)
  return found.map(({ text }) => text)
}
