import t from 'tap'
import { meetsConstraints, parseConstraints, parseSpread } from '../../lib/scheduler/index.js'
import { BenchCluster, codeOf } from '../orchestrator/bench-cluster.js'

const cluster = new BenchCluster()
const id = cluster.node('alpha', {
  labels: { zone: 'EU', Zone: 'us', empty: '' },
  role: 'manager',
  hostname: 'Box-1',
  os: 'linux',
  arch: 'x64',
})
const node = cluster.tables.node(id)

const met = [
  'node.id == alpha0000000',
  'node.id==ALPHA0000000',
  'node.hostname == box-1',
  'NODE.Hostname == BOX-1',
  'node.name == Alpha',
  'node.name != beta',
  'node.role == manager',
  'node.role != worker',
  'node.platform.os == Linux',
  'node.platform.arch == amd64',
  'node.platform.arch == x86_64',
  'node.platform.arch != arm64',
  'node.labels.zone == eu',
  'node.labels.Zone == us',
  'NODE.LABELS.zone == eu',
  'node.labels.absent != ssd',
  'node.labels.toString != x',
]
const unmet = [
  'node.labels.zone == us',
  'node.labels.ZONE == eu',
  'node.labels.absent == ssd',
  'node.role == worker',
  'node.id != alpha0000000',
  'node.hostname == box-*',
]

for (const text of met) {
  t.test(`'${text}' is met`, async (t) => {
    t.ok(node && meetsConstraints(node, [text]))
    t.equal(parseConstraints([text])[0]?.text, text)
  })
}
for (const text of unmet) {
  t.test(`'${text}' is not met`, async (t) => {
    t.notOk(node && meetsConstraints(node, [text]))
    t.equal(parseConstraints([text]).length, 1, 'though it is a constraint')
  })
}

t.test('all constraints must hold', async (t) => {
  t.ok(node && meetsConstraints(node, ['node.role == manager', 'node.labels.zone == eu']))
  t.notOk(node && meetsConstraints(node, ['node.role == manager', 'node.labels.zone == us']))
})

const bad: readonly (readonly [string, RegExp])[] = [
  ['node.labels.zone', /'KEY == VALUE' or 'KEY != VALUE'/],
  ['node.labels.zone = eu', /'KEY == VALUE'/],
  ['== eu', /'' is not a key/],
  ['1node == eu', /'1node' is not a key/],
  ['node.labels.zone ==', /the value is missing/],
  ['node.labels.zone == a==b', /'a==b' is not a value/],
  ['node.zone == eu', /unknown key 'node.zone'; expected one of node.id/],
  ['node.labels. == eu', /unknown key 'node.labels.'/],
  ['engine.labels.x == eu', /unknown key/],
]
for (const [text, words] of bad) {
  t.test(`'${text}' is refused by name, and met by no node`, async (t) => {
    t.equal(
      codeOf(() => parseConstraints(['node.role == worker', text])),
      'ERR_SKEIN_INVALID_SPEC',
    )
    t.throws(() => parseConstraints([text]), { message: words })
    t.throws(() => parseConstraints(['node.role == worker', text]), { message: /placement\.constraints\[1\]/ })
    t.notOk(node && meetsConstraints(node, [text]))
  })
}

t.test('a spread preference is an attribute', async (t) => {
  t.same(parseSpread(['node.labels.zone', ' node.hostname ']), [{ name: 'label', label: 'zone' }, { name: 'hostname' }])
  t.throws(() => parseSpread(['com.example.rack']), {
    code: 'ERR_SKEIN_INVALID_SPEC',
    message: /placement\.spread\[0\]: 'com\.example\.rack'/,
  })
})
