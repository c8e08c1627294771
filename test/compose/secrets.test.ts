import t from 'tap'
import { parseStack } from '../../lib/compose/index.js'

const read = (text: string) => parseStack(text, { stack: 'shop', dir: '/srv/shop', env: {} })

t.test('a service’s secrets are those of the top level, wherever that stands, by their names in the cluster', async (t) => {
  const { services, findings } = read(`
services:
  web:
    command: node web.mjs
    secrets: [password, {source: key, target: key.pem}, {source: key}, {source: plain, target: plain}, old]
secrets:
  password: {external: true, name: db-password-2}
  key: {external: true}
  plain: {external: true}
  old: {external: {name: db-password-1}}
`)
  t.same(findings.problems, [])
  t.same(services[0]?.task.secrets, [
    { secret: 'db-password-2', target: 'password' },
    { secret: 'key', target: 'key.pem' },
    'key',
    'plain',
    { secret: 'db-password-1', target: 'old' },
  ])
})

t.test('a file whose secrets would come from the file, or from nowhere, is refused with the remedy', async (t) => {
  const { findings } = read(`
secrets:
  a: {file: ./a.txt}
  b: {}
  c: {external: false}
  d: {external: true, extrenal: true}
  e: {external: true}
  f: {external: true, environment: F}
services:
  web:
    command: node web.mjs
    secrets: [nobody, {target: x}, {source: e, target: ../up}, 7]
  other:
    command: node web.mjs
    secrets: {e: true}
  third:
    command: node web.mjs
    secrets: [{source: e, target: ../up}, {source: e, mode: 256}]
`)
  const why = (path: string): string | undefined => findings.problems.find((problem) => problem.path === path)?.why
  t.match(why('secrets.a.file'), /carries no secret into the cluster; create it with `skein secret create a FILE`/)
  t.match(why('secrets.b.external'), /must be true; create it with/)
  t.match(why('secrets.c.external'), /must be true; create it with/)
  t.match(why('secrets.d.extrenal'), /did you mean `external`/)
  t.match(why('secrets.f.environment'), /carries no secret/)
  t.equal(why('secrets.e'), undefined)
  t.match(why('services.web.secrets[0]'), /no secret nobody at the top level; add `secrets: \{nobody: \{external: true\}\}`/)
  t.match(why('services.web.secrets[1].source'), /missing/)
  t.match(why('services.web.secrets[3]'), /expected a text, got 7/)
  t.match(why('services.other.secrets'), /expected a list of secrets, got a map/)
  t.match(why('services.third.secrets[0].target'), /expected a file name/)
  t.match(findings.notHonoured, [{ path: 'services.third.secrets[1].mode' }])
  t.match(read('services: {web: {command: x}}\nsecrets: [a]\n').findings.problems, [{ path: 'secrets', why: /a map of secrets/ }])
})
