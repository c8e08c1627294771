import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { Fleet } from '../../lib/cli/demo/fleet.js'
import { clientUrl, leaderOf } from '../../lib/cli/demo/observe.js'
import { foundCluster } from '../../lib/cli/demo/story.js'
import { type Cluster, connect } from '../../lib/index.js'
import { payloadBytesMax } from '../../lib/model/payload.js'
import { eventually, freshDir, quick, startPeer } from './support.js'
import { filesWith, hasTrace } from './traces.js'

/** Long and without repeats: no compression of a database could hide it. */
const plaintext = 'Zq8xW3vK1nB7mT5rY2pL9sD4fG6hJ0cA-this-is-what-nobody-may-find'

/** As large as a secret may be, and found again by its beginning. */
const large = Buffer.concat([Buffer.from(plaintext), randomBytes(payloadBytesMax.secret - plaintext.length)])

/** Prints where its secrets are and how long they are, never what they are. */
const command = ['sh', '-c', 'cd "$SKEIN_SECRETS" || exit 1; pwd; wc -c < password.txt; wc -c < large; exec sleep 1000']

async function linesOf(peer: Pick<Cluster, 'services'>, service: string): Promise<string[]> {
  const lines: string[] = []
  for await (const { text } of peer.services.logs(service, { tail: 3 })) lines.push(text)
  return lines
}

t.test(
  'a secret is sealed wherever it lies, reaches only the task that names it, and is gone after',
  { timeout: 180_000 },
  async (t) => {
    const logged: unknown[] = []
    const write = (...words: unknown[]): void => void logged.push(words)
    const logger = { debug: write, info: write, warn: write, error: write }
    const dirs = [freshDir(t), freshDir(t), freshDir(t)] as const
    const manager = await startPeer(t, { name: 'm1', dir: dirs[0], availability: 'drain', timing: quick, logger })
    const join = await manager.invite('worker')
    const worker = await startPeer(t, { name: 'w1', dir: dirs[1], join, logger })
    const other = await startPeer(t, { name: 'w2', dir: dirs[2], join, logger })

    const made = await manager.secrets.create(
      { name: 'db-password', data: plaintext, labels: { of: 'db' } },
      { requestId: 'once' },
    )
    t.same(
      await manager.secrets.create({ name: 'db-password', data: plaintext, labels: { of: 'db' } }, { requestId: 'once' }),
      made,
    )
    await manager.secrets.create({ name: 'large', data: large })
    const tooLarge = manager.secrets.create({ name: 'larger', data: Buffer.concat([large, Buffer.of(1)]) })
    await t.rejects(tooLarge, {
      code: 'ERR_SKEIN_TOO_LARGE',
      detail: { size: payloadBytesMax.secret + 1, limit: payloadBytesMax.secret },
    })
    const spec = {
      name: 'web',
      task: { command, secrets: [{ secret: 'db-password', target: 'password.txt' }, 'large'] },
      placement: { constraints: ['node.name == w1'] },
    }
    await t.rejects(manager.services.create({ ...spec, task: { command, secrets: ['large', 'typo'] } }), {
      code: 'ERR_SKEIN_NOT_FOUND',
    })
    const service = await manager.services.create(spec)
    for await (const { phase } of manager.services.converge('web', { monitorMs: 100 })) if (phase === 'converged') break
    const [dir = '', size, largeSize] = await eventually('its lines', async () => {
      const lines = await linesOf(manager, 'web')
      return lines.length === 3 ? lines : undefined
    })
    t.equal(Number(size), plaintext.length)
    t.equal(Number(largeSize), payloadBytesMax.secret)
    t.equal(readFileSync(`${dir}/password.txt`, 'utf8'), plaintext)

    t.same((await manager.secrets.list({ name: 'db-' })).items, [made])
    await t.rejects(manager.secrets.remove('db-password'), { code: 'ERR_SKEIN_PRECONDITION', message: /web/ })
    await t.rejects(manager.secrets.create({ name: 'db-password', data: 'new' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
    t.match(await manager.secrets.update('db-password', { labels: { of: null } }), { labels: {} })
    const shown = [
      made,
      await manager.secrets.get('db-password'),
      await manager.services.get('web'),
      await manager.tasks.list(),
      await manager.clusterStatus(),
      await manager.nodes.list(),
      service,
    ]
    t.notOk(hasTrace(JSON.stringify(shown), plaintext), 'no answer shows it')
    const asks: readonly (() => Promise<unknown>)[] = [worker, other, await client(t, join)].flatMap(({ secrets }) => [
      () => secrets.create({ name: 'mine', data: 'x' }),
      () => secrets.get('db-password'),
      () => secrets.list(),
      () => secrets.update('db-password', { labels: {} }),
      () => secrets.remove('db-password'),
    ])
    for (const ask of asks) await t.rejects(ask(), { code: 'ERR_SKEIN_FORBIDDEN' })
    await using operator = await connect(await manager.invite('manager'))
    t.equal((await operator.secrets.get('db-password')).id, made.id)

    t.same(filesWith(plaintext, dirs), [], 'in use: in no file of any peer')
    await manager.services.remove('web')
    await eventually('the task is gone', async () => (await manager.tasks.list()).items.length === 0)
    t.notOk(existsSync(dir), 'its files went with it')
    await manager.secrets.remove('db-password')
    await t.rejects(manager.secrets.get('db-password'), { code: 'ERR_SKEIN_NOT_FOUND' })

    await manager.secrets.create({ name: 'db-password', data: `${plaintext}2` })
    await manager.services.create(spec)
    for await (const { phase } of manager.services.converge('web', { monitorMs: 100 })) if (phase === 'converged') break
    const [again = ''] = await eventually('its lines', async () => {
      const lines = await linesOf(manager, 'web')
      return lines.length === 3 ? lines : undefined
    })
    t.ok(existsSync(again))
    await worker.stop()
    t.notOk(existsSync(dirname(again)), 'nothing outlives its peer')
    await other.stop()
    await manager.stop()
    t.same(filesWith(plaintext, dirs), [], 'stopped: in no file of any peer')
    t.not(logged.length, 0)
    t.notOk(hasTrace(inspect(logged, { depth: 10, maxStringLength: null }), plaintext), 'nor in the logs')
    const bait = `${dirs[0]}/bait`
    writeFileSync(bait, `x${plaintext}`)
    t.same(filesWith(plaintext, dirs), [bait], 'the same search finds it where it lies open')
  },
)

async function client(t: { teardown(act: () => unknown): void }, url: string) {
  const app = await connect(url)
  t.teardown(() => app[Symbol.asyncDispose]())
  return app
}

/** Directories of the secrets of `count` tasks that run, each on another node, and each with the right content. */
async function secretDirs(cluster: Cluster, count: number): Promise<readonly string[]> {
  return await eventually(`${count} tasks with their secret`, async () => {
    const running = (await cluster.tasks.list({ service: 'web' })).items.filter(
      ({ observed, away }) => observed === 'running' && !away,
    )
    if (running.length !== count || new Set(running.map(({ node }) => node)).size !== count) return undefined
    const dirs: string[] = []
    for (const { id } of running) {
      for await (const { text } of cluster.tasks.logs(id, { tail: 1 })) {
        if (readFileSync(`${text}/password`, 'utf8') === plaintext) dirs.push(text)
      }
    }
    return new Set(dirs).size === count ? dirs : undefined
  })
}

t.test(
  'secrets end with peers that SIGKILL ends, one or all, and come back with them, from whoever leads then',
  { timeout: 180_000, skip: process.platform === 'linux' ? false : 'a guardian finds processes in /proc' },
  async (t) => {
    const fleet = await Fleet.open('remove')
    t.teardown(() => fleet.stop())
    const { cluster } = await foundCluster(fleet, () => undefined)
    await cluster.secrets.create({ name: 'password', data: plaintext })
    await cluster.services.create({
      name: 'web',
      task: { command: ['sh', '-c', 'cd "$SKEIN_SECRETS" && pwd && exec sleep 1000'], secrets: ['password'] },
      mode: { replicas: 5 },
      placement: { maxPerNode: 1 },
      restart: { delayMs: 100 },
    })
    const first = await secretDirs(cluster, 5)
    const leader = await leaderOf(cluster, fleet)
    await fleet.kill(leader)
    await eventually('one directory gone with its peer', async () => first.filter((dir) => existsSync(dirname(dir))).length === 4)
    const second = await secretDirs(cluster, 4)
    await fleet.start(leader)
    const third = await secretDirs(cluster, 5)
    t.equal(third.filter((dir) => !second.includes(dir)).length, 1, 'the new leader opened it for the new task alone')

    await Promise.all(fleet.machines.map((machine) => fleet.kill(machine)))
    await cluster[Symbol.asyncDispose]()
    await eventually('no directory left', async () => !third.some((dir) => existsSync(dirname(dir))))
    t.same(filesWith(plaintext, [fleet.dir]), [], 'in no file of any peer')
    await Promise.all(fleet.machines.map((machine) => fleet.start(machine)))
    await using again = await connect(clientUrl(fleet))
    const last = await secretDirs(again, 5)
    await fleet.stop()
    t.notOk(last.some((dir) => existsSync(dirname(dir))))
  },
)
