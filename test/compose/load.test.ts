import { execFileSync } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { loadStack } from '../../lib/compose/index.js'

const noPipes = process.platform === 'win32' && 'no named pipes here'

t.test('reads the file and the .env beside it; the given environment wins', async (t) => {
  const dir = t.testdir({
    'stack.yaml': 'services: {web: {command: "run $A $B", working_dir: .}}',
    '.env': 'A=file\nB=file',
  })
  const stack = await loadStack(join(dir, 'stack.yaml'), { stack: 'shop', env: { A: 'shell' } })
  t.match(stack, { name: 'shop', file: join(dir, 'stack.yaml'), notHonoured: [], warnings: [] })
  t.match(stack.services, [{ name: 'shop_web', task: { command: ['run', 'shell', 'file'], workingDir: dir } }])
})

t.test('a refusal names the file, every line and every key path, and says that nothing was created', async (t) => {
  const dir = t.testdir({ 'stack.yaml': 'services:\n  web:\n    comand: x\n    deploy: {replicas: many}\n' })
  const file = join(dir, 'stack.yaml')
  await t.rejects(loadStack(file, { stack: 'shop' }), {
    code: 'ERR_SKEIN_INVALID_STACK',
    detail: { file, line: 2, path: 'services.web.command' },
    message: [
      `${file}: 3 problems, nothing was created`,
      '  stack.yaml:2  services.web.command: missing: the process driver has nothing to run; give `command`, as `command: node server.mjs`',
      '  stack.yaml:3  services.web.comand: unknown key; did you mean `command`?',
      '  stack.yaml:4  services.web.deploy.replicas: expected a whole number from 0, got "many"',
    ].join('\n'),
  })
})

t.test('a file that cannot be used is refused by name', async (t) => {
  const dir = t.testdir({
    'binary.yaml': Buffer.from([0xff, 0xfe, 0x00]),
    'large.yaml': `# ${'x'.repeat(1_100_000)}`,
    folder: {},
    env: { 'stack.yaml': 'services: {a: {command: x}}', '.env': 'fine=1\nnot fine\n' },
  })
  const cases = [
    ['missing.yaml', /missing\.yaml: cannot be read \(there is no such file\); nothing was created/],
    ['folder', /it is a directory/],
    ['binary.yaml', /not UTF-8/],
    ['large.yaml', /larger than 1048576 bytes/],
    ['env/stack.yaml', /\.env: 1 problem, nothing was created\n {2}\.env:2 {2}expected KEY=VALUE, got "not fine"/],
  ] as const
  for (const [name, message] of cases) {
    await t.rejects(loadStack(join(dir, name), { stack: 'shop' }), { code: 'ERR_SKEIN_INVALID_STACK', message }, name)
  }
})

t.test('a file without an end is not read to its end', { skip: process.platform === 'win32' && 'no such device' }, async (t) => {
  await t.rejects(loadStack('/dev/zero', { stack: 'shop' }), { code: 'ERR_SKEIN_INVALID_STACK', message: /larger than 1048576/ })
})

t.test('a stack file, its .env and its configs may each be a pipe', { skip: noPipes }, async (t) => {
  const dir = t.testdir()
  const pipes = {
    'stack.yaml': 'services: {web: {command: "run $A", configs: [app]}}\nconfigs: {app: {file: ./app.conf}}',
    '.env': 'A=piped',
    'app.conf': 'x'.repeat(100_000),
  }
  const written = Object.entries(pipes).map(([name, text]) => {
    execFileSync('mkfifo', [join(dir, name)])
    return writeFile(join(dir, name), text)
  })
  const stack = await loadStack(join(dir, 'stack.yaml'), { stack: 'shop' })
  await Promise.all(written)
  t.match(stack.services, [{ task: { command: ['run', 'piped'] } }])
  t.equal(Buffer.from(stack.configs[0]?.data ?? []).toString(), pipes['app.conf'])
})

t.test('a file without permission says so', { skip: process.getuid?.() === 0 && 'root reads everything' }, async (t) => {
  const file = join(t.testdir({ 'stack.yaml': 'services: {}' }), 'stack.yaml')
  await chmod(file, 0o000)
  await t.rejects(loadStack(file, { stack: 'shop' }), { code: 'ERR_SKEIN_INVALID_STACK', message: /permission denied/ })
})

t.test('a stack needs a name services can begin with', async (t) => {
  for (const stack of ['', '-a', 'a b', 'a_', 'x'.repeat(64)]) {
    await t.rejects(
      loadStack('stack.yaml', { stack }),
      { code: 'ERR_SKEIN_INVALID_OPTION', detail: { option: 'stack' } },
      `"${stack}"`,
    )
  }
})
