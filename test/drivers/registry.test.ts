import t from 'tap'
import { DriverRegistry, inlineDriver, processDriver } from '../../lib/drivers/index.js'

t.test('a driver that is not there is refused, naming those that are', async (t) => {
  const registry = new DriverRegistry([processDriver(), inlineDriver({ functions: {} })])
  t.equal(registry.get('process').name, 'process')
  t.same(registry.names(), ['inline', 'process'])
  t.throws(() => registry.get('docker'), {
    code: 'ERR_SKEIN_NO_DRIVER',
    message: 'this node has no driver "docker"; it has: inline, process',
    detail: { driver: 'docker', available: ['inline', 'process'] },
  })
  t.throws(() => new DriverRegistry([]).get('process'), { message: 'this node has no driver "process"; it has none' })
})

t.test('two drivers of one name are refused', async (t) => {
  t.throws(() => new DriverRegistry([processDriver(), processDriver()]), { code: 'ERR_SKEIN_INVALID_OPTION' })
})
