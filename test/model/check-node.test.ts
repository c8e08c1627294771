import t from 'tap'
import {
  checkClusterSettings,
  checkLabels,
  checkNodeDescription,
  checkNodeName,
  defaultClusterSettings,
} from '../../lib/model/index.js'

const description = {
  hostname: 'h',
  os: 'linux',
  arch: 'x64',
  pid: 1,
  resources: { cpuNanos: 1, memoryBytes: 1 },
  drivers: ['process'],
}

t.test('a description is taken with the keys we know: a newer peer may say more', async (t) => {
  t.same(checkNodeDescription({ ...description, kernel: '6.1' }), description)
  t.throws(() => checkNodeDescription({ ...description, drivers: undefined }), {
    code: 'ERR_SKEIN_INVALID_SPEC',
    detail: { path: 'description.drivers' },
  })
  t.throws(() => checkNodeDescription({ ...description, resources: { cpuNanos: -1, memoryBytes: 1 } }), {
    code: 'ERR_SKEIN_INVALID_SPEC',
    detail: { path: 'description.resources.cpuNanos', got: -1 },
  })
  t.throws(() => checkNodeDescription('h'), { message: /description: expected an object/ })
})

t.test('a host name is a node name; spaces and dashes at its ends are not', async (t) => {
  t.equal(checkNodeName('rack-1.example.org'), 'rack-1.example.org')
  for (const bad of ['', ' ', 'a b', '-a', 'a.', 'x'.repeat(64), 7])
    t.throws(() => checkNodeName(bad), { code: 'ERR_SKEIN_INVALID_SPEC' })
})

t.test('labels are text under names that constraints can say', async (t) => {
  t.same(checkLabels({ zone: 'eu', 'com.example/disk': '' }), { zone: 'eu', 'com.example/disk': '' })
  t.throws(() => checkLabels({ zone: 1 }), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'labels.zone' } })
  t.throws(() => checkLabels({ 'my zone': 'eu' }), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'labels.my zone' } })
  t.throws(() => checkLabels(['zone=eu']), { code: 'ERR_SKEIN_INVALID_SPEC', detail: { path: 'labels' } })
})

t.test('cluster settings have their bounds', async (t) => {
  t.same(checkClusterSettings(defaultClusterSettings), defaultClusterSettings)
  t.throws(() => checkClusterSettings({ ...defaultClusterSettings, heartbeatMs: 1 }), {
    code: 'ERR_SKEIN_INVALID_SPEC',
    detail: { path: 'settings.heartbeatMs', got: 1 },
  })
  t.throws(() => checkClusterSettings({ ...defaultClusterSettings, graceFactor: 1 }), {
    code: 'ERR_SKEIN_INVALID_SPEC',
    detail: { path: 'settings.graceFactor' },
  })
})
