import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../lib/index.js'
import { payloadBytesMax } from '../../lib/model/payload.js'
import { eventually, freshDir, startPeer } from './support.js'

t.test(
  'a config is read by operators and by the task that names it, lies beside that task while it runs, and outlives its managers',
  { timeout: 180_000 },
  async (t) => {
    const dir = freshDir(t)
    const manager = await startPeer(t, { name: 'm1', dir, availability: 'drain' })
    const worker = await startPeer(t, { name: 'w1', dir: freshDir(t), join: await manager.invite('worker') })
    const large = randomBytes(payloadBytesMax.config)
    const spec = { name: 'app.conf', data: 'listen 80;', labels: { of: 'web' } }
    const made = await manager.configs.create(spec, { requestId: 'once' })
    t.match(made, { name: 'app.conf', labels: { of: 'web' }, sizeBytes: 10 })
    t.same(await manager.configs.create(spec, { requestId: 'once' }), made)
    await manager.configs.create({ name: 'large', data: large })
    await t.rejects(manager.configs.create({ name: 'larger', data: Buffer.concat([large, Buffer.of(1)]) }), {
      code: 'ERR_SKEIN_TOO_LARGE',
      detail: { what: 'config', size: payloadBytesMax.config + 1, limit: payloadBytesMax.config },
    })
    await t.rejects(manager.configs.create({ ...spec, data: 'listen 81;' }), { code: 'ERR_SKEIN_ALREADY_EXISTS' })
    t.same((await manager.configs.list({ labels: { of: 'web' } })).items, [made], 'a list shows no data')

    const command = ['sh', '-c', 'echo "$SKEIN_CONFIGS"; exec sleep 1000']
    const wish = (configs: readonly (string | { config: string; target: string })[]) => ({
      name: 'web',
      task: { command, configs },
    })
    await t.rejects(manager.services.create(wish(['large', 'typo'])), { code: 'ERR_SKEIN_NOT_FOUND', message: /config typo/ })
    await manager.services.create(wish([{ config: 'app.conf', target: '/etc/app/app.conf' }, 'large']))
    const place = await eventually('its line', async () => {
      for await (const { text } of manager.services.logs('web')) if (text.startsWith('/')) return text
      return undefined
    })
    t.equal(readFileSync(join(place, 'etc/app/app.conf'), 'utf8'), 'listen 80;')
    t.ok(readFileSync(join(place, 'large')).equals(large))

    await t.rejects(manager.configs.remove('large'), { code: 'ERR_SKEIN_PRECONDITION', message: /large is used by web/ })
    const asks: readonly (() => Promise<unknown>)[] = [
      () => worker.configs.create({ name: 'mine', data: 'x' }),
      () => worker.configs.get('app.conf'),
      () => worker.configs.list(),
      () => worker.configs.update('app.conf', { labels: {} }),
      () => worker.configs.remove('app.conf'),
    ]
    for (const ask of asks) await t.rejects(ask(), { code: 'ERR_SKEIN_FORBIDDEN' })
    await manager.services.remove('web')
    await eventually('the task is gone', async () => (await manager.tasks.list()).items.length === 0)
    t.notOk(existsSync(place), 'its files went with it')
    await manager.configs.remove('large')
    t.match(await manager.configs.update('app.conf', { labels: { of: null, tier: 'front' } }), { labels: { tier: 'front' } })

    await manager.stop()
    const again = await startPeer(t, { dir })
    await using operator = await connect(await again.invite('manager'))
    const found = await operator.configs.get(made.id)
    t.equal(Buffer.from(found.data).toString(), 'listen 80;')
    t.same(found.labels, { tier: 'front' })
    t.match((await operator.configs.list()).items, [{ name: 'app.conf' }])
    await t.rejects(operator.configs.get('large'), { code: 'ERR_SKEIN_NOT_FOUND' })
  },
)
