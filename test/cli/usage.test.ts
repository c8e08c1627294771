import { join } from 'node:path'
import t from 'tap'
import { fakeWorld, run } from './fake-world.js'

t.test('wrong usage exits 2, says what was expected on stderr, and asks no cluster', async (t) => {
  const cases: readonly (readonly [line: string, words: RegExp])[] = [
    ['', /Usage: skein/],
    ['serv', /unknown command 'serv'[\s\S]*Did you mean one of secret, service\?/],
    ['node', /Usage: skein node/],
    ['node lss', /Did you mean ls\?/],
    ['node ls extra', /too many arguments/],
    ['node ls --bogus', /unknown option '--bogus'/],
    ['node ls --format xml', /Allowed choices are table, json, jsonl/],
    ['node ls --timeout 5', /Expected a duration above 0, as 30s|Expected a duration with a unit/],
    ['node ls --timeout 0s', /Expected a duration above 0/],
    ['node drain', /missing required argument 'node'/],
    ['node label m1', /give at least one KEY=VALUE or --remove KEY/],
    ['node label m1 zone', /expected KEY=VALUE, got "zone"/],
    ['invite boss', /Allowed choices are worker, manager/],
    ['service create', /missing required argument 'command'/],
    ['service create --replicas many -- x', /--replicas <n>' argument 'many' is invalid. Expected a whole number from 0/],
    ['service create --replicas -1 -- x', /Expected a whole number/],
    ['service create --stop-grace-period 10 -- x', /duration with a unit/],
    ['service create --reserve-cpu 0 -- x', /number of CPUs above 0/],
    ['service create --reserve-memory 5X -- x', /amount of memory/],
    ['service create --restart-condition always -- x', /any, on-failure, none/],
    ['service create --placement-pref zone -- x', /Expected spread=ATTRIBUTE/],
    ['service create --label tier -- x', /Expected KEY=VALUE/],
    ['network create n --label __proto__=x', /Expected another KEY than __proto__/],
    ['service create --env-file nowhere.env -- x', /--env-file nowhere\.env: .*no such file/],
    ['service scale web', /expected SERVICE=N with a whole number from 0, got "web"/],
    ['service scale web=-1', /got "web=-1"/],
    ['service logs web --tail some', /whole number/],
    ['service logs web --since yesterday', /--since: expected a duration as 10m or a date/],
    ['stack deploy shop', /required option '-c, --compose-file <file>' not specified/],
    ['stack deploy -c stack.yaml a/b', /stack: expected letters, digits/],
    ['kv put a', /missing required argument 'value'/],
    ['kv put a b --if-version newest', /version number or absent/],
    ['up --listen nonsense', /Expected HOST:PORT/],
    ['up --listen 127.0.0.1:70000', /port up to 65535/],
    ['up --label zone', /Expected KEY=VALUE/],
    ['up --availability off', /active, pause, drain/],
  ]
  for (const [line, words] of cases) {
    const world = fakeWorld()
    t.equal(await run(world, line), 2, `exit code of: ${line}`)
    t.match(world.err(), words, `words of: ${line}`)
    t.equal(world.out(), '', `stdout of: ${line}`)
    t.strictSame(
      world.state.calls.filter(({ verb }) => verb !== 'services.get'),
      [],
      `calls of: ${line}`,
    )
  }
})

t.test('in JSON mode wrong usage is one JSON value on stdout too', async (t) => {
  for (const line of [
    'node lss --format json',
    'node ls extra --format=json',
    '--format json node label m1',
    'node ls --bogus --format jsonl',
  ]) {
    const world = fakeWorld()
    t.equal(await run(world, line), 2, line)
    t.match(JSON.parse(world.out()), { error: { code: 'ERR_SKEIN_INVALID_OPTION', message: /./ } }, line)
  }
})

t.test('--format after -- belongs to the service', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'service create --replicas x -- tool --format json'), 2)
  t.equal(world.out(), '')
})

t.test('--help names the exit codes and --version the version, on stdout, with 0', async (t) => {
  const help = fakeWorld()
  t.equal(await run(help, '--help'), 0)
  for (const code of [0, 1, 2, 4, 5, 124, 130]) t.match(help.out(), new RegExp(`^ {2}${code} +\\w`, 'm'), `exit code ${code}`)
  const version = fakeWorld()
  t.equal(await run(version, '--version'), 0)
  t.equal(version.out(), '1.2.3\n')
})

t.test('help lists the flags of the command itself first, then those of every command', async (t) => {
  const world = fakeWorld()
  t.equal(await run(world, 'stack deploy --help'), 0)
  t.match(world.out(), /\nOptions:\n {2}-c, --compose-file[\s\S]*--help[\s\S]*\nOptions of every command[\s\S]*--connect/)
})

t.test('where to connect: --connect, then SKEIN_CONNECT, then control.json of --dir, SKEIN_DIR or ./.skein', async (t) => {
  const control = (url: string) => ({ 'control.json': JSON.stringify({ url }) })
  const cwd = t.testdir({ '.skein': control('skein://default'), flag: control('skein://flag'), env: control('skein://env') })
  const cases: readonly (readonly [line: string, env: Record<string, string>, url: string])[] = [
    ['status --connect skein://given', { SKEIN_CONNECT: 'skein://shell' }, 'skein://given'],
    ['--connect skein://before status', {}, 'skein://before'],
    ['status --dir flag', { SKEIN_CONNECT: 'skein://shell' }, 'skein://shell'],
    ['status --dir flag', { SKEIN_DIR: 'env', SKEIN_CONNECT: '' }, 'skein://flag'],
    ['status', { SKEIN_DIR: join(cwd, 'env') }, 'skein://env'],
    ['status', {}, 'skein://default'],
  ]
  for (const [line, env, url] of cases) {
    const world = fakeWorld({ cwd, env })
    t.equal(await run(world, line), 0, line)
    t.strictSame(world.urls, [url])
    t.equal(world.open(), 0, 'the connection is closed again')
  }
})

t.test('with nowhere to connect to, it says every way to name a cluster', async (t) => {
  const cwd = t.testdir({ bad: { 'control.json': '{"url": 5}' } })
  const none = fakeWorld({ cwd, env: {} })
  t.equal(await run(none, 'node ls'), 2)
  t.match(
    none.err(),
    /ERR_SKEIN_INVALID_OPTION: no cluster to talk to: .*\.skein\/control\.json: no peer runs there; .*skein up.*--connect.*SKEIN_CONNECT.*--dir/,
  )
  const bad = fakeWorld({ cwd, env: {} })
  t.equal(await run(bad, 'node ls --dir bad'), 1)
  t.match(bad.err(), /ERR_SKEIN_CORRUPT: .*control\.json: expected/)
})
