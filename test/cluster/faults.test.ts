import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execPath } from 'node:process'
import t from 'tap'
import type { Peer, ServiceSpec } from '../../lib/index.js'
import { eventually, freshDir, startPeer } from './support.js'

const spec = (name: string, command: string[], more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  name,
  mode: { replicas: 1 },
  task: { command },
  ...more,
})

async function solo(t: Parameters<typeof startPeer>[0]): Promise<Peer> {
  return await startPeer(t, { name: 'm1', dir: freshDir(t) })
}

t.test('a command that does not exist: the task is rejected, and says why', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  await peer.services.create(spec('ghost', ['no-such-command-anywhere'], { restart: { when: 'none' } }))
  const task = await eventually('it is rejected', async () =>
    (await peer.tasks.list({ service: 'ghost' })).items.find(({ observed }) => observed === 'rejected'),
  )
  t.match(task.why, /no-such-command-anywhere/)
  const why = await peer.tasks.why('ghost.1')
  t.match(why.text, /ghost\.1 is rejected on m1.*no-such-command-anywhere/)
  t.equal(why.task.exhausted, true)
})

t.test(
  'a command that exits at once is tried as often as the policy says, and then it ends clearly',
  { timeout: 180_000 },
  async (t) => {
    const peer = await solo(t)
    const restart = { when: 'on-failure', delayMs: 10, attemptsMax: 2 } as const
    await peer.services.create(spec('crash', [execPath, '-e', 'process.exit(3)'], { restart }))
    const states: string[] = []
    const follow = async (): Promise<void> => {
      for await (const { slots } of peer.services.converge('crash', { timeoutMs: 30_000 }))
        states.push(slots.map(({ state }) => state).join())
    }
    await t.rejects(follow(), { code: 'ERR_SKEIN_TASKS_EXHAUSTED', message: /crash: gave up on crash\.1.*exit/ })
    const { items } = await peer.tasks.list({ service: 'crash' })
    t.equal(items.length, 3, 'the first attempt and two restarts')
    t.ok(items.every(({ observed, exitCode }) => observed === 'failed' && exitCode === 3))
  },
)

t.test('a task nobody can take is pending and says why, node by node', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  await peer.services.create(spec('fussy', ['true'], { placement: { constraints: ['node.labels.disk == ssd'] } }))
  const why = await eventually('a reason', async () => {
    const found = await peer.tasks.why('fussy.1')
    return found.placement === undefined ? undefined : found
  })
  t.equal(why.placement?.evaluated, 1)
  t.match(why.placement?.reasons, [{ nodes: 1, reason: /node\.labels\.disk == ssd/ }])
  await peer.nodes.label('m1', { disk: 'ssd' })
  await eventually('it was placed once the label was there', async () => (await peer.tasks.get('fussy.1')).node !== undefined)
})

t.test('a spec that makes no sense is refused with its key path, and nothing is created', async (t) => {
  const peer = await solo(t)
  const refused: [string, unknown][] = [
    ['task.command', { name: 'a', task: {} }],
    ['mode.replicas', { name: 'a', task: { command: ['x'] }, mode: { replicas: -1 } }],
    ['name', { name: 'not a name', task: { command: ['x'] } }],
    ['tsak', { name: 'a', tsak: {}, task: { command: ['x'] } }],
  ]
  for (const [path, bad] of refused) {
    await t.rejects(peer.services.create(bad as ServiceSpec), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path } }, path)
  }
  t.equal((await peer.services.list()).items.length, 0)
})

t.test('drained, a node gives its tasks away; active again, it may take new ones', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  const worker = await startPeer(t, { name: 'w1', join: await peer.invite('worker') })
  await peer.services.create(spec('sleepers', [execPath, '-e', 'setInterval(() => 0, 1000)'], { mode: { replicas: 2 } }))
  const on = async (name: string): Promise<number> =>
    (await peer.tasks.list({ service: 'sleepers' })).items.filter((task) => task.observed === 'running' && task.nodeName === name)
      .length
  await eventually('one on each', async () => (await on('m1')) === 1 && (await on('w1')) === 1)
  await peer.nodes.drain('w1')
  await eventually('both on m1', async () => (await on('m1')) === 2 && (await on('w1')) === 0)
  await peer.nodes.activate('w1')
  await peer.services.scale('sleepers', 4)
  await eventually('two on w1', async () => (await on('w1')) === 2)
  await worker.stop()
})

t.test('the lines of a service come from all its nodes, in order', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  await startPeer(t, { name: 'w1', join: await peer.invite('worker') })
  const talk = 'console.log("one"); console.error("two"); setInterval(() => 0, 1000)'
  await peer.services.create(spec('talk', [execPath, '-e', talk], { mode: { replicas: 2 } }))
  const lines = await eventually('four lines', async () => {
    const found = []
    for await (const line of peer.services.logs('talk')) found.push(line)
    return found.length >= 4 ? found : undefined
  })
  t.same(new Set(lines.map(({ node }) => node)), new Set(['m1', 'w1']))
  t.same(lines.map(({ stream, text }) => `${stream}:${text}`).sort(), ['stderr:two', 'stderr:two', 'stdout:one', 'stdout:one'])
})

t.test('the lines of a task that failed can still be read, and its end is final', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  const last = 'console.error("my last words"); process.exitCode = 7'
  await peer.services.create(spec('dying', [execPath, '-e', last], { restart: { when: 'none' } }))
  const task = await eventually('it failed', async () =>
    (await peer.tasks.list({ service: 'dying' })).items.find(({ observed }) => observed === 'failed'),
  )
  t.equal(task.exitCode, 7)
  const texts: string[] = []
  for await (const { text } of peer.tasks.logs(task.id)) texts.push(text)
  t.same(texts, ['my last words'])
})

t.test('a watch tells every change in order, from the version of the list on', { timeout: 180_000 }, async (t) => {
  const peer = await solo(t)
  const { version } = await peer.services.list()
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const seen: string[] = []
  const reading = (async () => {
    for await (const change of peer.watch({ kinds: ['service'], since: version, signal: stop.signal })) {
      if (change.type === 'set') seen.push(`set ${change.object.id}`)
      if (change.type === 'removed') seen.push(`removed ${change.was.id}`)
      if (seen.length === 3) return
    }
  })()
  const { id } = await peer.services.create(spec('a', ['true'], { mode: { replicas: 0 } }))
  await peer.services.update('a', (old) => ({ ...old, labels: { x: 'y' } }))
  await peer.services.remove('a')
  await reading
  t.same(seen, [`set ${id}`, `set ${id}`, `removed ${id}`])
})

t.test('a second peer on a directory in use is refused, and what the first one keeps there stays', async (t) => {
  const dir = freshDir(t)
  await startPeer(t, { name: 'm1', dir })
  const before = readFileSync(join(dir, 'control.json'), 'utf8')
  await t.rejects(startPeer(t, { name: 'm1', dir }), { code: 'ERR_SKEIN_DIR_IN_USE' })
  t.equal(readFileSync(join(dir, 'control.json'), 'utf8'), before)
})

t.test('a peer that listens everywhere is reached at an address, never at a wildcard, also when it comes back', async (t) => {
  const dir = freshDir(t)
  const first = await startPeer(t, { dir, listen: '0.0.0.0:0' })
  const { address } = first
  t.notMatch(address, /^0\.0\.0\.0/)
  await first.stop()
  t.equal((await startPeer(t, { dir, listen: '0.0.0.0:0' })).address, address)
  for (const advertise of ['0.0.0.0:0', '[::]:80']) {
    await t.rejects(startPeer(t, { dir: freshDir(t), advertise }), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      detail: { option: 'advertise' },
    })
  }
})

t.test('what no type allows is refused by a rejection that names it, also when the manager asks itself', async (t) => {
  const peer = await solo(t)
  const refused: [string, () => Promise<unknown>][] = [
    ['invite', () => peer.invite('king' as 'manager')],
    ['nodes.label', () => peer.nodes.label('m1', { disk: 5 as unknown as string })],
    ['nodes.label', () => peer.nodes.label('m1', null as unknown as Record<string, string>)],
    ['services.get', () => peer.services.get(undefined as unknown as string)],
    ['kv.put', () => peer.kv.put(5 as unknown as string, 'x')],
    ['kv.put', () => peer.kv.put('k', undefined as unknown as string)],
    ['deadlineMs', () => peer.kv.put('k', 'v', { deadlineMs: Number.NaN })],
  ]
  for (const [named, ask] of refused) {
    await t.rejects(ask(), { code: 'ERR_SKEIN_INVALID_OPTION', message: new RegExp(named) }, named)
  }
})
