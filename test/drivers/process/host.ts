import type { Assigned } from '../../../lib/drivers/driver.js'
import { processDriver } from '../../../lib/drivers/index.js'
import { assigned } from '../task.js'

/**
 * A host process that runs tasks until someone kills it. Arguments: JSON of { dir?, commands, secrets? }.
 * Prints one line of JSON, { lines }, once every task has printed its first line.
 */
const { dir, commands, secrets } = JSON.parse(process.argv[2] ?? '{}') as {
  dir?: string
  commands: string[][]
  /** Of every task: target → text. */
  secrets?: Record<string, string>
}
const driver = processDriver(dir === undefined ? {} : { dir })
const never = new AbortController().signal

const lines: string[] = []
for (const [index, command] of commands.entries()) {
  const unit = await driver.prepare(task(`host.${index + 1}.1`, command), never)
  await unit.start(never)
  for await (const line of unit.logs({ follow: true })) {
    lines.push(line.text)
    break
  }
}
console.log(JSON.stringify({ lines }))
// Tasks keep the event loop alive; only a signal ends this.

function task(id: string, command: readonly string[]): Assigned {
  const given = new Map(Object.entries(secrets ?? {}).map(([name, text]) => [name, Buffer.from(text)]))
  return assigned({ command }, { id, service: 'host', slot: '1', secrets: given })
}
