// A replicated key-value store over HTTP, on skein/raft alone: node server.mjs DIR ID 1=http://127.0.0.1:7001 2=… 3=…
import { createServer } from 'node:http'
import { json, text } from 'node:stream/consumers'
import { RaftRunner } from 'skein/raft'

const [dir, id, ...members] = process.argv.slice(2)
const urls = new Map(members.map((member) => [Number(member.split('=')[0]), member.split('=')[1]]))

// What the log is for: every member applies the same writes in the same order. A write may name the version it replaces, 0 for none.
const keys = new Map()
const stateMachine = {
  appliedIndex: 0,
  apply(data, { index }) {
    const { key, value, version } = JSON.parse(Buffer.from(data).toString())
    const matches = version === undefined || version === String(keys.get(key)?.version ?? 0)
    if (matches) keys.set(key, { value, version: index })
    return matches && index
  },
  applied: () => {},
  snapshot: () => [Buffer.from(JSON.stringify([...keys]))],
  // No key is ever removed: what a snapshot says replaces all that is here.
  restore: async (chunks) => (await json(chunks)).forEach(([key, held]) => void keys.set(key, held)),
}

// How members reach each other. Raft expects frames to get lost, and bounds what is on its way: one that fails is only reported.
const post = (to, path, o) => fetch(`${urls.get(to)}/raft/${id}${path}`, { method: 'POST', ...o })
const transport = {
  send: (to, body) => Boolean(post(to, '', { body, signal: AbortSignal.timeout(1000) }).catch(() => raft.reportUnreachable(to))),
  // A piece of a snapshot. Requests of `fetch` that wait have a connection each, so frames do not wait behind it.
  sendSnapshotPiece: async (to, body, signal) =>
    new Uint8Array(await (await post(to, '/snapshot', { body, signal })).arrayBuffer()),
}

const cancel = (timer) => () => clearTimeout(timer)
const after = (ms, act) => cancel(setTimeout(act, ms))
const every = (ms, act) => cancel(setInterval(act, ms))
const world = { transport, clock: { now: () => performance.now(), wallMs: Date.now, after, every }, random: Math.random }
const bootstrap = { voters: [...urls.keys()], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
const raft = await RaftRunner.open({ id: Number(id), clusterId: 'kv', dir, bootstrap, stateMachine, ...world })

const routes = {
  async 'POST raft'(request, from, kind) {
    const bytes = Buffer.concat(await request.toArray())
    if (kind === 'snapshot') return [200, {}, await raft.receiveSnapshotPiece(Number(from), bytes)]
    raft.receive(Number(from), bytes)
    return [204]
  },
  async 'GET keys'(_request, key) {
    await raft.read() // from here on what is read is linearizable, on any member
    const held = keys.get(key)
    return held ? [200, { etag: held.version }, held.value] : [404]
  },
  async 'PUT keys'(request, key) {
    const write = { key, value: await text(request), version: request.headers['if-match'] }
    const version = await raft.propose(Buffer.from(JSON.stringify(write)))
    return version ? [204, { etag: version }] : [412]
  },
}
createServer(async (request, response) => {
  const [, top, ...rest] = request.url.split('/')
  const answer = (status, headers, body) => response.writeHead(status, headers).end(body)
  try {
    answer(...((await routes[`${request.method} ${top}`]?.(request, ...rest)) ?? [404]))
  } catch ({ code, message, detail }) {
    const leader = urls.get(Number(detail?.leader)) // only ERR_SKEIN_NOT_LEADER names one
    answer(leader ? 307 : code === 'ERR_SKEIN_OUTCOME_UNKNOWN' ? 504 : 503, leader && { location: leader + request.url }, message)
  }
}).listen(new URL(urls.get(Number(id))).port, '127.0.0.1', () => raft.start())
// There is nothing to do at the end: what was acknowledged is on the disks of a majority, however a member's process ends.
