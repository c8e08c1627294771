import t from 'tap'
import type { LogLine } from '../../lib/api/types.js'
import { deferred } from '../../lib/base/deferred.js'
import { type LogSources, mergeLogs } from '../../lib/manager/logs.js'
import type { Task } from '../../lib/model/task.js'

type Line = Omit<LogLine, 'task' | 'node'>
const line = (atMs: number, text: string): Line => ({ stream: 'stdout', at: new Date(atMs), text })
const task = (slot: number, node: string | undefined): Task =>
  ({ service: 'service00001', slot, generation: 1, node, handle: slot }) as unknown as Task

/** Tasks and their lines; `appear` adds a task and tells the listener, as a store would. */
function world(lines: Readonly<Record<string, AsyncIterable<Line> | Error>>, first: readonly Task[]) {
  const tasks = [...first]
  let listener = (): void => undefined
  const sources: LogSources = {
    store: {
      view: () => ({ node: (id: string) => ({ name: id.toUpperCase() }) }) as never,
      onChange: (act) => {
        listener = () => act([], 0)
        return () => {
          listener = () => undefined
        }
      },
    },
    tasks: () => tasks,
    open: (id) => {
      const found = lines[id]
      if (found === undefined || found instanceof Error) throw found ?? new Error(`no lines of ${id}`)
      return found
    },
  }
  return {
    sources,
    appear: (added: Task) => {
      tasks.push(added)
      listener()
    },
  }
}

async function* of(...all: Line[]): AsyncGenerator<Line> {
  yield* all
}
const texts = async (from: AsyncIterable<LogLine>): Promise<string[]> => {
  const found: string[] = []
  for await (const { node, text } of from) found.push(`${node} ${text}`)
  return found
}
const [first, second] = ['service00001.1.1', 'service00001.2.1']

t.test('the lines of several tasks come in the order of their times, and the stream ends', async (t) => {
  const { sources } = world(
    { [first as string]: of(line(1, 'a'), line(4, 'd')), [second as string]: of(line(2, 'b'), line(3, 'c')) },
    [task(1, 'n1'), task(2, 'n2')],
  )
  t.same(await texts(mergeLogs(sources, { follow: false }, undefined)), ['N1 a', 'N2 b', 'N2 c', 'N1 d'])
})

t.test('the tail is that of the whole, not of each task', async (t) => {
  const { sources } = world(
    { [first as string]: of(line(1, 'a'), line(4, 'd')), [second as string]: of(line(2, 'b'), line(3, 'c')) },
    [task(1, 'n1'), task(2, 'n2')],
  )
  t.same(await texts(mergeLogs(sources, { follow: false, tail: 2 }, undefined)), ['N2 c', 'N1 d'])
})

t.test('a node that cannot be asked is named in a line, and the others are heard', async (t) => {
  const { sources } = world({ [first as string]: new Error('the link is down'), [second as string]: of(line(2, 'b')) }, [
    task(1, 'n1'),
    task(2, 'n2'),
  ])
  const found = await texts(mergeLogs(sources, { follow: false }, undefined))
  t.equal(found.length, 2)
  t.ok(found.includes('N2 b'))
  t.match(
    found.find((text) => text.startsWith('N1')),
    /lines of service00001\.1\.1 on N1 are not to be had: the link is down/,
  )
})

t.test('tasks without a node have no lines, and no task at all ends the stream', async (t) => {
  const { sources } = world({}, [task(1, undefined)])
  t.same(await texts(mergeLogs(sources, { follow: false }, undefined)), [])
})

t.test('whoever follows hears tasks that appear later, until the signal', async (t) => {
  const gate = deferred()
  const endless = async function* (): AsyncGenerator<Line> {
    yield line(1, 'a')
    await gate.promise
  }
  const { sources, appear } = world({ [first as string]: endless(), [second as string]: of(line(2, 'b')) }, [task(1, 'n1')])
  const stop = new AbortController()
  const found: string[] = []
  for await (const { text } of mergeLogs(sources, { follow: true }, stop.signal)) {
    found.push(text)
    if (found.length === 1) appear(task(2, 'n2'))
    if (found.length === 2) stop.abort()
  }
  gate.resolve()
  t.same(found, ['a', 'b'])
})

t.test('a reader that stops reading stops the writers: no queue grows', async (t) => {
  let written = 0
  const flood = async function* (): AsyncGenerator<Line> {
    for (;;) yield line(++written, 'x')
  }
  const { sources } = world({ [first as string]: flood() }, [task(1, 'n1')])
  const lines = mergeLogs(sources, { follow: true }, undefined)
  await lines.next()
  for (let turn = 0; turn < 5_000; turn++) await Promise.resolve()
  t.ok(written <= 2_100, `${written} lines were taken for one read`)
  await lines.return(undefined)
})
