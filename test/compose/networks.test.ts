import t from 'tap'
import { parseStack } from '../../lib/compose/index.js'

const read = (text: string) => parseStack(text, { stack: 'shop', dir: '/srv/shop', env: {} })

t.test(
  'a service’s networks are those of the top level, by their names in the cluster; the stack brings what is not external',
  async (t) => {
    const { services, networks, findings } = read(`
services:
  web:
    command: node web.mjs
    networks: [front, shared, default]
  api:
    command: node api.mjs
    networks: {back: null, plain: {aliases: [a]}}
  job:
    command: node job.mjs
networks:
  front:
    driver: overlay
    labels: {tier: web}
  back: {}
  plain: {name: exactly-this}
  shared: {external: true, name: of-all}
  unused:
`)
    t.same(findings.problems, [])
    t.same(
      services.map(({ task }) => task.networks),
      [['shop_front', 'of-all', 'default'], ['shop_back', 'exactly-this'], undefined],
    )
    const stack = { 'com.docker.stack.namespace': 'shop' }
    t.same(networks, [
      { name: 'shop_front', labels: { tier: 'web', ...stack } },
      { name: 'shop_back', labels: stack },
      { name: 'exactly-this', labels: stack },
    ])
    t.same(
      findings.notHonoured.map(({ path }) => path),
      ['networks.front.driver', 'services.api.networks.plain.aliases'],
    )
  },
)

t.test('networks that are named nowhere, or badly, are refused with their line and the remedy', async (t) => {
  const { findings } = read(`
networks:
  a: {external: perhaps}
  b: {extrenal: true}
  c: 7
  d: {name: not a name}
services:
  web:
    command: node web.mjs
    networks: [nobody]
  other:
    command: node web.mjs
    networks: 7
  third:
    command: node web.mjs
    networks: [d]
  fourth:
    command: node web.mjs
    networks: [default, default]
`)
  const why = (path: string): string | undefined => findings.problems.find((problem) => problem.path === path)?.why
  t.match(why('networks.a.external'), /expected true or false/)
  t.match(why('networks.b.extrenal'), /did you mean `external`/)
  t.match(why('networks.c'), /expected a map, got 7/)
  t.match(why('services.web.networks[0]'), /no network nobody at the top level; add `networks: \{nobody: \{\}\}`/)
  t.equal(findings.problems.find(({ path }) => path === 'services.web.networks[0]')?.line, 10)
  t.match(why('services.other.networks'), /expected a list or a map of networks, got 7/)
  t.match(why('services.third.networks[0]'), /1 to 63 letters/)
  t.match(why('services.fourth.networks[1]'), /named twice/)
  t.match(read('services: {web: {command: x}}\nnetworks: [a]\n').findings.problems, [
    { path: 'networks', why: /a map of networks/ },
  ])
})
