import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { eventually, freshDir, type Teardown } from '../cluster/support.js'

// Compiled to dist/test/examples/.
const serverFile = fileURLToPath(new URL('../../../examples/raft-kv/server.mjs', import.meta.url))

interface Member {
  readonly url: string
  readonly dir: string
  readonly start: () => void
  readonly kill: () => Promise<void>
}

t.test('three processes on skein/raft alone: written on one, read on another, and on after the leader is killed', async (t) => {
  const members = await startThree(t, serverFile)
  const [one, two, three] = members as [Member, Member, Member]

  const first = await eventually('a write is taken', () => ok(put(one, 'colour', 'blue')))
  const read = await ok(get(two, 'colour'))
  t.equal(await read.text(), 'blue', 'a follower or the leader, each reads what was written')
  t.equal(read.headers.get('etag'), first.headers.get('etag'))
  t.equal((await get(three, 'nothing')).status, 404)

  const version = first.headers.get('etag') ?? ''
  t.equal((await put(three, 'colour', 'red', version)).status, 204, 'compare-and-set with the right version')
  t.equal((await put(one, 'colour', 'green', version)).status, 412, 'and with an old one')
  t.equal((await put(one, 'colour', 'green', '0')).status, 412, 'and as if the key were new')
  t.equal((await put(one, 'new', 'x', '0')).status, 204)

  const leader = await eventually('somebody leads', () => leaderOf(members))
  await leader.kill()
  const [left, other] = members.filter((member) => member !== leader) as [Member, Member]
  t.equal(await (await eventually('an answer without the leader', () => ok(get(left, 'colour')))).text(), 'red')
  await eventually('a write without it', () => ok(put(left, 'colour', 'white')))
  t.equal(await (await ok(get(other, 'colour'))).text(), 'white')

  leader.start()
  const caughtUp = await eventually('the killed one is back', () => ok(get(leader, 'colour')))
  t.equal(await caughtUp.text(), 'white', 'and knows what was written while it was away')

  await left.kill()
  await other.kill()
  t.equal(
    (await eventually('a refusal', () => refused(put(leader, 'colour', 'black')))).status > 500,
    true,
    'alone it promises nothing',
  )
  t.equal((await get(leader, 'colour')).status, 503, 'and reads nothing')
})

t.test('it is an example: at most sixty lines of code', async (t) => {
  const code = readFileSync(serverFile, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(\/\/.*)?$/.test(line))
  t.ok(code.length <= 60, `${code.length} lines`)
})

t.test('a member that was away for long is sent a snapshot, over the transport of the example', async (t) => {
  // The same program, but it cuts its log after a few entries. Inside the package, so that skein resolves by its own name.
  const folder = fileURLToPath(new URL('../../example-raft-kv', import.meta.url))
  mkdirSync(folder, { recursive: true })
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const patched = `${folder}/server.mjs`
  const code = readFileSync(serverFile, 'utf8').replace(
    "clusterId: 'kv',",
    "clusterId: 'kv', snapshotEveryEntries: 20, trailingEntries: 5,",
  )
  t.match(code, 'snapshotEveryEntries')
  writeFileSync(patched, code)
  const members = await startThree(t, patched)
  const [one, two, three] = members as [Member, Member, Member]
  await eventually('a write is taken', () => ok(put(one, 'before', 'x')))
  await three.kill()
  for (let n = 0; n < 100; n++) await eventually(`write ${n}`, () => ok(put(two, `k${n}`, `${n}`)))
  three.start()
  for (const n of [0, 99]) {
    t.equal(await (await eventually('it is back', () => ok(get(three, `k${n}`)))).text(), `${n}`)
  }
  t.ok(readdirSync(`${three.dir}/snapshots`).length > 0, 'what it missed came as a snapshot')
})

/** Three members of a fresh group as processes; they are killed after the test. */
async function startThree(t: Teardown, file: string): Promise<readonly Member[]> {
  const dir = freshDir(t)
  const ports = await freePorts(3)
  const urls = ports.map((port) => `http://127.0.0.1:${port}`)
  return urls.map((url, at): Member => {
    const own = `${dir}/${at + 1}`
    const args = [file, own, String(at + 1), ...urls.map((each, other) => `${other + 1}=${each}`)]
    let child: ChildProcess | undefined
    const kill = async (): Promise<void> => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    const start = (): void => {
      child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    }
    t.teardown(kill)
    start()
    return { url, dir: own, start, kill }
  })
}

async function put({ url }: Member, key: string, body: string, version?: string): Promise<Response> {
  return await fetch(`${url}/keys/${key}`, { method: 'PUT', body, headers: version === undefined ? {} : { 'if-match': version } })
}

async function get({ url }: Member, key: string): Promise<Response> {
  return await fetch(`${url}/keys/${key}`)
}

async function ok(asked: Promise<Response>): Promise<Response> {
  const answer = await asked
  if (answer.ok) return answer
  throw new Error(`${answer.status}: ${await answer.text()}`)
}

/** Resolves to an answer that refuses; a link that broke is no answer. */
async function refused(asked: Promise<Response>): Promise<Response> {
  const answer = await asked
  if (answer.status >= 500) return answer
  throw new Error(`${answer.status}`)
}

/** The member that takes a write itself; the others name it. */
async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (const member of members) {
    const answer = await fetch(`${member.url}/keys/probe`, { method: 'PUT', body: 'x', redirect: 'manual' })
    if (answer.status === 204) return member
  }
  throw new Error('nobody leads')
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}
