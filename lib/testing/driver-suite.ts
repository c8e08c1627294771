import type { Assigned, LogOptions, RuntimeDriver, Unit, UnitLogLine } from '../drivers/driver.js'
import { plainTask } from './plain-task.js'

/** The little of a test framework that the suites need; tap's `t` and others fit as they are. */
export interface SuiteTest {
  test(name: string, body: (t: SuiteTest) => Promise<void>): PromiseLike<unknown>
  equal(found: unknown, wanted: unknown, ...message: [] | [string]): unknown
  ok(found: unknown, ...message: [] | [string]): unknown
}

/** How to say each thing in the words of one driver: the value of `spec.command`. */
export interface DriverCommands {
  /** Runs until it is asked to stop, then ends soon. Prints `ready` once it can be asked. */
  readonly sleep: readonly string[]
  /** Prints `ready`, then runs on whatever it is asked. */
  readonly ignoreStop: readonly string[]
  /** Ends with this exit code. */
  exit(code: number): readonly string[]
  /** Prints these lines, each to the stream named, in order, and ends with 0. */
  print(lines: readonly { readonly stream: 'stdout' | 'stderr'; readonly text: string }[]): readonly string[]
  /** Prints `ready`, then so many lines of so many bytes to stdout, then ends with 0. */
  flood(lines: number, lineBytes: number): readonly string[]
  /** Prints the value of this variable and ends with 0. */
  printEnv(name: string): readonly string[]
  /** Cannot be prepared on this node. */
  readonly missing: readonly string[]
}

export interface DriverSuite {
  readonly name: string
  /** A fresh driver; the suite closes it. */
  readonly make: () => RuntimeDriver | Promise<RuntimeDriver>
  readonly commands: DriverCommands
  /** Most bytes of one task's log that the driver made by `make` keeps; the flood is several times as long. */
  readonly logBytesMax: number
}

const longMs = 60_000
const shortMs = 50
const never = new AbortController().signal

/** What every RuntimeDriver must do. Times are never asserted; a driver that hangs fails by the runner's timeout. */
export async function testDriver(t: SuiteTest, suite: DriverSuite): Promise<void> {
  const { commands } = suite
  const check = (name: string, body: (t: SuiteTest, make: Make) => Promise<void>): PromiseLike<unknown> =>
    t.test(`${suite.name}: ${name}`, async (t) => {
      const driver = await suite.make()
      const units: Unit[] = []
      try {
        await body(t, async (command, more) => {
          const unit = await driver.prepare(assigned(command, more), never)
          units.push(unit)
          return unit
        })
      } finally {
        for (const unit of units) await unit.stop(0)
        for (const unit of units) await unit.remove()
        await driver.close?.()
      }
    })

  await t.test(`${suite.name}: says its name and what it offers`, async (t) => {
    const driver = await suite.make()
    const { cpus, memoryBytes } = await driver.describe()
    t.ok(driver.name.length > 0, 'a name')
    t.ok(cpus > 0, 'at least some of a CPU')
    t.ok(memoryBytes > 0, 'at least some memory')
    await driver.close?.()
  })

  await check('refuses what it cannot run while preparing it, naming it', async (t, make) => {
    const error = await make(commands.missing).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.ok(error instanceof Error, 'prepare rejects')
    t.ok(error instanceof Error && error.message.includes(commands.missing[0] ?? ''), 'the message names what is missing')
  })

  for (const code of [0, 1, 42]) {
    await check(`tells exit code ${code}`, async (t, make) => {
      const unit = await make(commands.exit(code))
      await unit.start(never)
      t.equal((await unit.wait()).code, code)
      t.equal((await unit.wait()).code, code, 'and again when asked again')
    })
  }

  await check('does not start what is only prepared', async (t, make) => {
    const unit = await make(commands.print([{ stream: 'stdout', text: 'too early' }]))
    await unit.stop(0)
    const end = await unit.wait()
    t.ok(end.code !== 0, 'a unit stopped before its start has not succeeded')
    t.equal((await linesOf(unit)).length, 0, 'and has written nothing')
  })

  await check('does not start after its start was cancelled', async (t, make) => {
    const unit = await make(commands.print([{ stream: 'stdout', text: 'too late' }]))
    const started = await unit.start(AbortSignal.abort()).then(
      () => true,
      () => false,
    )
    t.equal(started, false)
    t.equal((await linesOf(unit)).length, 0)
  })

  await check('stops a unit that obeys long before its grace is over', async (t, make) => {
    const unit = await running(make, commands.sleep)
    await unit.stop(longMs)
    const end = await unit.wait()
    t.ok(!(end.why ?? '').includes('did not stop within'), 'it was not forced')
  })

  await check('forces a unit that ignores the stop signal, and says so', async (t, make) => {
    const unit = await running(make, commands.ignoreStop)
    await unit.stop(shortMs)
    const end = await unit.wait()
    t.equal(end.code, 137)
    t.ok((end.why ?? '').includes('did not stop within'), `the reason is told, got: ${end.why}`)
  })

  await check('may be stopped and removed any number of times, in any order', async (t, make) => {
    const unit = await running(make, commands.sleep)
    await Promise.all([unit.stop(longMs), unit.stop(longMs), unit.stop(0)])
    await unit.stop(longMs)
    await unit.remove()
    await unit.remove()
    await unit.stop(0)
    t.ok(Number.isInteger((await unit.wait()).code))
  })

  await check('gives the task the environment of its spec', async (t, make) => {
    const unit = await make(commands.printEnv('GREETING'), { env: { GREETING: 'hello from the spec' } })
    await unit.start(never)
    await unit.wait()
    t.equal((await linesOf(unit))[0]?.text, 'hello from the spec')
  })

  await check('keeps lines with stream and time, in order within a stream', async (t, make) => {
    const texts = ['one', '', 'two words', 'ünïcödé ✓', '  spaces  ']
    const unit = await make(
      commands.print([...texts.map((text) => ({ stream: 'stdout' as const, text })), { stream: 'stderr', text: 'oops' }]),
    )
    await unit.start(never)
    await unit.wait()
    const lines = await linesOf(unit)
    t.equal(textsOf(lines, 'stdout'), texts.join('\n'))
    t.equal(textsOf(lines, 'stderr'), 'oops')
    t.ok(
      lines.every(({ at }) => !Number.isNaN(at.getTime())),
      'every line has a time',
    )
    t.equal(textsOf(await linesOf(unit, { tail: 2, streams: ['stdout'] }), 'stdout'), texts.slice(-2).join('\n'), 'tail')
    t.equal((await linesOf(unit, { streams: ['stderr'] })).length, 1, 'one stream')
    t.equal((await linesOf(unit, { since: new Date(Date.now() + longMs) })).length, 0, 'since')
    t.equal((await linesOf(unit, { tail: 0 })).length, 0, 'none')
  })

  await check('follows a log until the unit ends', async (t, make) => {
    const unit = await make(commands.sleep)
    const followed = linesOf(unit, { follow: true })
    await unit.start(never)
    await firstLine(unit)
    await unit.stop(longMs)
    t.equal((await followed)[0]?.text, 'ready')
  })

  await check('stops following when the reader says so', async (t, make) => {
    const unit = await running(make, commands.sleep)
    const reader = new AbortController()
    const seen: string[] = []
    for await (const line of unit.logs({ follow: true, signal: reader.signal })) {
      seen.push(line.text)
      reader.abort()
    }
    t.equal(seen.join(), 'ready')
  })

  await check('keeps the newest lines of a flood, and no more than its bound', async (t, make) => {
    const lineBytes = 1000
    const lines = Math.ceil((suite.logBytesMax * 4) / lineBytes)
    const unit = await make(commands.flood(lines, lineBytes))
    await unit.start(never)
    t.equal((await unit.wait()).code, 0)
    const kept = await linesOf(unit)
    const keptBytes = kept.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    t.ok(kept.length > 0, 'some lines are kept')
    t.ok(keptBytes <= suite.logBytesMax, `within the bound, got ${keptBytes} of ${suite.logBytesMax}`)
    t.ok(kept.at(-1)?.text.length === lineBytes, 'the last line is whole')
    t.ok(kept[0]?.text !== 'ready', 'the oldest went first')
  })

  await check('runs many units side by side', async (t, make) => {
    const units = await Promise.all([3, 4, 5].map((code) => make(commands.exit(code), { id: `many.${code}` })))
    await Promise.all(units.map((unit) => unit.start(never)))
    const ends = await Promise.all(units.map((unit) => unit.wait()))
    t.equal(ends.map(({ code }) => code).join(), '3,4,5')
  })
}

type Make = (
  command: readonly string[],
  more?: { readonly id?: string; readonly env?: Readonly<Record<string, string>> },
) => Promise<Unit>

let made = 0

function assigned(command: readonly string[], more: { id?: string; env?: Readonly<Record<string, string>> } = {}): Assigned {
  return {
    id: more.id ?? `suite.${++made}.1`,
    service: 'suite',
    slot: '1',
    spec: { ...plainTask, driver: '', command, env: more.env ?? {}, stopGraceMs: longMs },
    secrets: new Map(),
    configs: new Map(),
  }
}

async function running(make: Make, command: readonly string[]): Promise<Unit> {
  const unit = await make(command)
  await unit.start(never)
  await firstLine(unit)
  return unit
}

async function firstLine(unit: Unit): Promise<UnitLogLine | undefined> {
  for await (const line of unit.logs({ follow: true })) return line
  return undefined
}

async function linesOf(unit: Unit, options: LogOptions = {}): Promise<UnitLogLine[]> {
  const lines: UnitLogLine[] = []
  for await (const line of unit.logs(options)) lines.push(line)
  return lines
}

function textsOf(lines: readonly UnitLogLine[], stream: UnitLogLine['stream']): string {
  return lines
    .filter((line) => line.stream === stream)
    .map(({ text }) => text)
    .join('\n')
}
