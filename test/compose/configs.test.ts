import { join } from 'node:path'
import t from 'tap'
import { configPlan, loadStack, namespaceLabel, parseStack } from '../../lib/compose/index.js'
import { payloadBytesMax } from '../../lib/model/payload.js'

const read = (text: string, env: Readonly<Record<string, string>> = {}) =>
  parseStack(text, { stack: 'shop', dir: '/srv/shop', env })
const own = { [namespaceLabel]: 'shop' }

t.test('a service’s configs are those of the top level, by their names in the cluster and under Docker’s targets', async (t) => {
  const { services, configs, findings } = read(
    `
services:
  web:
    command: node web.mjs
    configs: [nginx, {source: site, target: /etc/nginx/site.conf}, {source: old}, {source: older, target: /o}, {source: shared}]
configs:
  nginx: {file: ./nginx.conf, labels: {tier: front}}
  site: {content: "listen \${PORT};", name: site-2}
  old: {environment: OLD}
  older: {external: {name: the-old-one}}
  shared: {external: true}
`,
    { PORT: '80', OLD: 'as it was' },
  )
  t.same(findings.problems, [])
  t.same(findings.notHonoured, [])
  t.same(services[0]?.task.configs, [
    { config: 'shop_nginx', target: 'nginx' },
    { config: 'site-2', target: '/etc/nginx/site.conf' },
    { config: 'shop_old', target: 'old' },
    { config: 'the-old-one', target: '/o' },
    'shared',
  ])
  t.same(
    configs.map(({ name, labels, from }) => ({ name, labels, from })),
    [
      { name: 'shop_nginx', labels: { tier: 'front', ...own }, from: { type: 'file', path: '/srv/shop/nginx.conf' } },
      { name: 'site-2', labels: own, from: { type: 'text', text: 'listen 80;' } },
      { name: 'shop_old', labels: own, from: { type: 'text', text: 'as it was' } },
    ],
  )
})

t.test('a file with wrong configs is refused with the place and the remedy of each', async (t) => {
  const { findings } = read(`
configs:
  a: {}
  b: {file: ./b, content: b}
  c: {file: ./c, external: true}
  d: {file: ./d, flie: ./d}
  e: {environment: NOT_SET}
  f: {content: x, template_driver: golang}
  g: {content: x, name: "not a name"}
  h: {content: x, labels: {"a b": c}}
  i: {external: maybe}
  j: {content: [x]}
  k: {external: true}
  l: 7
  m: {content: x}
  n: {content: x, name: shop_m}
services:
  web:
    command: node web.mjs
    configs: [nobody, {target: x}, 7]
  other:
    command: node web.mjs
    configs: [{source: k, target: ../up}, {source: k, mode: 0440, uid: "103"}]
  third:
    command: node web.mjs
    configs: {k: x}
`)
  const why = (path: string): string | undefined => findings.problems.find((problem) => problem.path === path)?.why
  t.match(why('configs.a'), /nothing says where its data are; give `file`, `content` or `external: true`/)
  t.match(why('configs.b.content'), /keep one of/)
  t.match(why('configs.c.file'), /the cluster has an external config already/)
  t.match(why('configs.d.flie'), /did you mean `file`/)
  t.match(why('configs.e.environment'), /the variable NOT_SET is not set/)
  t.match(why('configs.f.template_driver'), /write what the template would become/)
  t.match(why('configs.g.name'), /1 to 64 letters/)
  t.match(why('configs.h.labels'), /a label name/)
  t.match(why('configs.i.external'), /expected true, got "maybe"/)
  t.match(why('configs.j.content'), /expected a text, got a list/)
  t.equal(why('configs.k'), undefined)
  t.equal(why('configs.m'), undefined)
  t.match(why('configs.n'), /another config of this file is called shop_m/)
  t.match(why('configs.l'), /expected a map, got 7/)
  t.match(why('services.web.configs[0]'), /no config nobody at the top level; add `configs: \{nobody: \{external: true\}\}`/)
  t.match(why('services.web.configs[1].source'), /missing; name one of the configs/)
  t.match(why('services.web.configs[2]'), /expected a text, got 7/)
  t.match(why('services.other.configs[0].target'), /a path like/)
  t.match(why('services.third.configs'), /expected a list of configs, got a map/)
  t.match(findings.notHonoured, [{ path: 'services.other.configs[1].mode' }, { path: 'services.other.configs[1].uid' }])
})

t.test('a name that the stack’s makes too long is refused before anything is asked of the cluster', async (t) => {
  const { findings } = read(`services: {a: {command: x}}\nconfigs: {${'x'.repeat(60)}: {content: x}}\n`)
  t.match(findings.problems, [{ line: 2, why: /1 to 64 letters/ }])
})

t.test('the files of configs are read byte for byte, from where the stack file is', async (t) => {
  const data = Buffer.from([0, 255, 10, 13])
  const dir = t.testdir({
    'stack.yaml': 'services: {a: {command: x}}\nconfigs: {one: {file: conf/one}, two: {content: zwei}}\n',
    conf: { one: data },
  })
  const { configs } = await loadStack(join(dir, 'stack.yaml'), { stack: 'shop' })
  t.same(configs, [
    { name: 'shop_one', labels: own, data },
    { name: 'shop_two', labels: own, data: Buffer.from('zwei') },
  ])
})

t.test('files of configs that cannot be used are named with the line that asks for them, all in one message', async (t) => {
  const dir = t.testdir({
    'stack.yaml': `services: {a: {command: x}}
configs:
  gone: {file: ./gone}
  folder: {file: ./folder}
  empty: {file: ./empty}
  large: {file: ./large}
  blank: {environment: BLANK}
`,
    folder: {},
    empty: '',
    large: Buffer.alloc(payloadBytesMax.config + 1),
  })
  const refused = loadStack(join(dir, 'stack.yaml'), { stack: 'shop', env: { BLANK: '' } })
  await t.rejects(refused, { code: 'ERR_SKEIN_INVALID_STACK', message: /5 problems, nothing was created/ })
  const { message } = (await refused.catch((error: unknown) => error)) as Error
  t.match(message, /stack\.yaml:3 {2}configs\.gone\.file: .*gone cannot be read \(there is no such file\)/)
  t.match(message, /stack\.yaml:4 {2}configs\.folder\.file: .*it is a directory/)
  t.match(message, /stack\.yaml:5 {2}configs\.empty\.file: .*at least one byte/)
  t.match(message, /stack\.yaml:6 {2}configs\.large\.file: .*larger than 1024000 bytes/)
  t.match(message, /stack\.yaml:7 {2}configs\.blank\.environment: .*at least one byte/)
})

t.test('a deploy creates what is not there, relabels what is, and touches neither other data nor another’s config', async (t) => {
  const config = (name: string, text: string, labels: Readonly<Record<string, string>> = own) => ({
    name,
    labels,
    data: Buffer.from(text),
  })
  const wished = [
    config('new', 'a'),
    config('same', 'a'),
    config('labelled', 'a', { ...own, tier: 'front' }),
    config('differs', 'a'),
    config('alien', 'a'),
  ]
  const current = [
    config('same', 'a'),
    config('labelled', 'a', { ...own, old: 'x' }),
    config('differs', 'b'),
    config('alien', 'a', {}),
    config('unwished', 'a'),
  ]
  const plan = configPlan(current, { name: 'shop', configs: wished })
  t.same(plan, {
    create: [wished[0]],
    relabel: [{ current: current[1], labels: { old: null, ...own, tier: 'front' } }],
    differing: [current[2]],
    taken: [current[3]],
  })
})
