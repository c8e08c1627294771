import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import t from 'tap'
import { exitCodes } from '../lib/cli/index.js'
import { buildProgram } from '../lib/cli/program.js'
import {
  knownDeployKeys,
  knownLimitKeys,
  knownNetworkKeys,
  knownNetworkUseKeys,
  knownPayloadUseKeys,
  knownReservationKeys,
  knownServiceKeys,
  knownTopLevelKeys,
} from '../lib/compose/keys.js'
import { parseStack } from '../lib/compose/stack.js'
import { splitWords } from '../lib/compose/words.js'
import { createPeer } from '../lib/index.js'
import { defaultClusterSettings } from '../lib/model/cluster.js'
import { networksMax, networksOfClusterMax } from '../lib/model/network.js'
import { payloadBytesMax } from '../lib/model/payload.js'
import { replicasMax } from '../lib/model/resolve-service.js'
import { raftMetricsOf } from '../lib/peer/raft-metrics.js'
import type { RaftRunnerMetrics } from '../lib/raft/index.js'
import { keyBytesMax, valueBytesMax } from '../lib/store/apply-cluster.js'
import { commandBytesMax } from '../lib/store/command-codec.js'
import { fakeWorld, run } from './cli/fake-world.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(`${root}/README.md`, 'utf8')

function page(name: string): string {
  return readFileSync(`${root}/docs/${name}.md`, 'utf8')
}

/** Code blocks of a page, by language. */
function blocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, code]) => code as string)
}

/** Runs a block of a page inside the package, so that it resolves by its own name, as it does for a user. */
function runBlock(t: { teardown(act: () => void): void }, name: string, code: string) {
  const dir = `${root}/dist/docs-${name}`
  mkdirSync(dir, { recursive: true })
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(`${dir}/block.mjs`, code)
  return spawnSync(process.execPath, [`${dir}/block.mjs`], { encoding: 'utf8', timeout: 50_000 })
}

t.test('the ten lines of the README run as they stand, and end by themselves', { timeout: 60_000 }, async (t) => {
  const [code] = blocks(readme, 'js')
  t.ok(code !== undefined && code.trim().split('\n').length <= 12, 'they are about ten')
  const { status, stdout, stderr } = runBlock(t, 'readme', code as string)
  t.equal(status, 0, stderr)
  t.match(stdout, /converged 2\/2\n/)
  t.equal(stdout.match(/hello\.\d running on /g)?.length, 2, stdout)
})

t.test('the code of operations.md runs as it stands: a peer comes back as itself', { timeout: 60_000 }, async (t) => {
  const [code] = blocks(page('operations'), 'js')
  const { status, stdout, stderr } = runBlock(t, 'operations', code as string)
  t.equal(status, 0, stderr)
  t.equal(stdout, 'true m1 hello\n')
})

t.test('metrics.md names every metric, and no other, in both ways to write it', { timeout: 60_000 }, async (t) => {
  const rows = [...page('metrics').matchAll(/^\| `(\w+)` \| (?:`(\w+)` \| )?[a-z0-9 ]+ \|/gm)]
  const peer = await createPeer()
  t.teardown(() => peer.stop())
  const names = rows.map(([, one, other]) => other ?? one)
  t.same(names.sort(), Object.keys(peer.metrics()).sort())
  const raftNames = rows.filter(([, , other]) => other !== undefined).map(([, one]) => one as string)
  const renamed = raftMetricsOf(Object.fromEntries(raftNames.map((name) => [name, 0])) as unknown as RaftRunnerMetrics)
  const withoutTotal = (name: string) => name.replace(/_total$/, '')
  t.same(
    Object.keys(renamed).map(withoutTotal),
    rows.flatMap(([, , other]) => (other === undefined ? [] : [withoutTotal(other)])),
    'the names of a line belong together',
  )
})

t.test('every command of the README is a command', async (t) => {
  const commands = blocks(readme, 'console')
    .join('\n')
    .split('\n')
    .filter((line) => line.startsWith('$ skein '))
    .map((line) => line.replace(/^\$ skein /, '').replace(/\s*#.*$/, ''))
  t.ok(commands.length >= 8)
  for (const command of commands) {
    const words = command.split(' ').filter((word) => /^[a-z]+$/.test(word))
    const path = words.slice(0, ['up', 'status'].includes(words[0] ?? '') ? 1 : 2)
    const { status, stdout } = spawnSync(process.execPath, [`${root}/dist/npm/cli.js`, ...path, '--help'], {
      encoding: 'utf8',
    })
    t.equal(status, 0, `skein ${path.join(' ')} --help`)
    t.match(stdout, new RegExp(`Usage: skein ${path.join(' ')}`), command)
  }
})

t.test('what operations.md does with secrets and configs the command line understands, and does to a cluster', async (t) => {
  const lines = blocks(page('operations'), 'console')
    .join('\n')
    .matchAll(/^\$ skein ((?:secret|config|service) .*?)(?:\s+#.*)?$/gm)
  const world = fakeWorld({ cwd: t.testdir({ 'password.txt': 'hunter2', 'nginx.conf': 'events {}' }) })
  for (const [, line] of lines) {
    const split = splitWords(line as string)
    t.equal(await run(world, '', ...(split.ok ? split.words : [])), 0, `${line}\n${world.err()}`)
  }
  t.match(world.state.secrets, [{ name: 'db-password-1' }])
  t.match(world.state.configs, [{ name: 'nginx-1', data: Buffer.from('events {}') }])
  t.match(
    world.state.services.map(({ spec }) => spec.task),
    [
      { secrets: [{ secret: 'db-password-1', target: 'db-password' }] },
      { configs: [{ config: 'nginx-1', target: 'etc/nginx/nginx.conf' }] },
    ],
  )
  t.match(world.out(), /"data": "events \{\}"/)
})

t.test('cli.md has every command that exists and no other, and the exit codes as they are', async (t) => {
  const names = (command: Command, before: string): string[] => {
    const own = command.commands.filter((each) => each.name() !== 'help')
    return own.length === 0 ? [before] : own.flatMap((each) => names(each, `${before} ${each.name()}`))
  }
  const there = names(
    buildProgram(fakeWorld(), () => undefined),
    'skein',
  )
  const told = [...page('cli').matchAll(/^\| `(skein(?: [a-z]+)+)/gm)].map(([, command]) => command as string)
  t.strictSame(told.sort(), there.sort())
  const codes = [...page('cli').matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))
  t.strictSame(codes, Object.values(exitCodes))
})

t.test('stack-files.md: the example is honoured to the last key', async (t) => {
  const [yaml] = blocks(page('stack-files'), 'yaml')
  const { services, findings } = parseStack(yaml as string, { stack: 'shop', dir: '/stack', env: {} })
  t.strictSame(findings.problems, [])
  t.strictSame(findings.notHonoured, [])
  t.match(findings.warnings, [{ path: 'services.web.deploy.resources.limits' }])
  t.match(services, [{ name: 'shop_web', mode: { replicas: 3 }, placement: { maxPerNode: 2 }, restart: { attemptsMax: 3 } }])
})

t.test('stack-files.md names every key that is reported and no other', async (t) => {
  const rows = [
    ...page('stack-files').matchAll(
      /^\| (?:top level|a service|a service, with what to use instead|`networks` at the top level|`networks` of a service|`secrets` and `configs` of a service|`deploy[a-z.]*`) \| (.+) \|$/gm,
    ),
  ]
  const told = rows.map(([, keys]) => [...(keys as string).matchAll(/`([a-z0-9_]+)`/g)].map(([, key]) => key as string))
  t.equal(told.length, 9)
  const [topLevel, service, remedied, ...rest] = told
  t.strictSame(topLevel?.sort(), Object.keys(knownTopLevelKeys).sort())
  t.strictSame([...(service ?? []), ...(remedied ?? [])].sort(), Object.keys(knownServiceKeys).sort())
  for (const [at, keys] of [
    knownNetworkKeys,
    knownNetworkUseKeys,
    knownPayloadUseKeys,
    knownDeployKeys,
    knownLimitKeys,
    knownReservationKeys,
  ].entries()) {
    t.strictSame(rest[at]?.sort(), Object.keys(keys).sort())
  }
})

t.test('operations.md gives the bounds that hold', async (t) => {
  const bound = (what: string): string | undefined =>
    page('operations')
      .split('\n')
      .find((line) => line.startsWith(`| ${what}`))
      ?.split('|')[2]
      ?.trim()
  const { heartbeatMs, graceFactor, pauseToleranceMs, taskHistory } = defaultClusterSettings
  t.equal(bound('replicas of a service'), replicasMax.toLocaleString('en'))
  t.equal(bound('a key'), `${keyBytesMax} bytes`)
  t.equal(bound('a value'), `${valueBytesMax / 2 ** 20} MiB`)
  const { secret, config } = payloadBytesMax
  t.equal(bound('a secret, a config'), `${secret / 2 ** 10} KiB, ${(config / 2 ** 10).toLocaleString('en')} KiB`)
  t.equal(bound('networks of a cluster'), `${networksOfClusterMax.toLocaleString('en')}, ${networksMax}`)
  t.equal(bound('one write'), `${commandBytesMax / 2 ** 20} MiB`)
  t.equal(bound('ended tasks'), String(taskHistory))
  const silences = `silent for ${(heartbeatMs * graceFactor) / 1_000} s is degraded, for ${pauseToleranceMs / 1_000} s down`
  t.equal(bound("a worker's heartbeat"), `${heartbeatMs / 1_000} s, ${silences}`)
})

t.test('every file the pages point to is there', async (t) => {
  const pages = ['README.md', 'ARCHITECTURE.md', ...readdirSync(`${root}/docs`).map((name) => `docs/${name}`)]
  for (const from of pages) {
    const text = readFileSync(`${root}/${from}`, 'utf8')
    for (const [, target] of text.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      t.ok(existsSync(join(root, dirname(from), target as string)), `${from} → ${target}`)
    }
  }
})

t.test('every source file ARCHITECTURE.md names is there', async (t) => {
  const architecture = readFileSync(`${root}/ARCHITECTURE.md`, 'utf8')
  const named = [...architecture.matchAll(/`([a-z-]+(?:\/[a-z-]+)+)`/g)].map(([, path]) => path as string)
  t.ok(named.length > 10)
  for (const path of named) t.ok(existsSync(`${root}/lib/${path}`) || existsSync(`${root}/lib/${path}.ts`), path)
})
