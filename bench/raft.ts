/**
 * skein/raft beside etcd: three processes each, real disks with fsync, one loader process, interleaved on this machine in this run.
 *
 *     npm run bench:raft -- [--format text|json] [--runs 5] [--seconds 10] [--kills 50] [--etcd PATH]
 */
import { fork, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, cpuMsOf } from './raft/cluster.js'
import type { CoreResult } from './raft/core-alone.js'
import { EtcdCluster, etcdVersion } from './raft/etcd-cluster.js'
import { loseLeader } from './raft/failover.js'
import type { Load, Loaded, LoaderNews } from './raft/loader.js'
import { silenceLeaders } from './raft/silent-machine.js'
import { SkeinCluster } from './raft/skein-cluster.js'
import { sendSnapshotUnderLoad } from './raft/snapshot-load.js'
import { atLeast, atMost, machine, median, percentile, print, type Row, skipped, timesRival, toTell } from './report.js'

const snapshotBytes = 500e6
const here = dirname(fileURLToPath(import.meta.url))
const usage = 'known are --format text|json, --runs N, --seconds S, --kills N, --etcd PATH'

interface Arguments {
  readonly format: 'text' | 'json'
  readonly runs: number
  readonly seconds: number
  readonly kills: number
  readonly etcd: string
}

function parse(args: readonly string[]): Arguments {
  const known = { format: 'text', runs: '5', seconds: '10', kills: '50', etcd: 'etcd' }
  for (let at = 0; at < args.length; at += 2) {
    const [name = '', value] = [args[at]?.replace(/^--/, ''), args[at + 1]]
    if (!Object.hasOwn(known, name) || value === undefined)
      throw new Error(`unknown argument ${args[at]} ${value ?? ''}: ${usage}`)
    known[name as keyof typeof known] = value
  }
  const { format } = known
  if (format !== 'text' && format !== 'json') throw new Error(`--format ${format}: expected text or json`)
  const positive = (name: 'runs' | 'seconds' | 'kills'): number => {
    const number = Number(known[name])
    if (number > 0 && (name === 'seconds' || Number.isInteger(number))) return number
    throw new Error(`--${name} ${known[name]}: expected a number above 0`)
  }
  return { format, runs: positive('runs'), seconds: positive('seconds'), kills: positive('kills'), etcd: known.etcd }
}

/** One load on one fresh cluster, with what it cost. */
interface Measured extends Loaded {
  /** Microseconds of CPU all three processes spent on one operation. */
  readonly clusterCpuUs: number
  /** Operations for each fsync of the leader. */
  readonly perFsync: number
}

async function measure(cluster: Cluster, load: Pick<Load, 'kind' | 'clients'>, seconds: number): Promise<Measured> {
  const leader = await cluster.leader()
  const pids = cluster.members.map(({ pid }) => pid)
  const loader = fork(join(here, 'raft', 'loader.js'))
  try {
    let before: { readonly cpuMs: number | undefined; readonly fsyncs: number } | undefined
    const loaded = await new Promise<Loaded>((resolve, reject) => {
      loader.on('message', (news: LoaderNews) => {
        if (news.type === 'counted') resolve(news.loaded)
        else cluster.counters(leader).then(({ fsyncs }) => (before = { cpuMs: cpuMsOf(pids), fsyncs }), reject)
      })
      loader.once('exit', (code) => reject(new Error(`the loader ended with ${code}`)))
      const { rival } = cluster
      loader.send({ rival, address: leader.address, ...load, warmUpMs: seconds * 250, countMs: seconds * 1000 } satisfies Load)
    })
    const [cpuMs, { fsyncs }] = [cpuMsOf(pids), await cluster.counters(leader)]
    if (loaded.failed > 0) process.stderr.write(`${cluster.rival}: ${loaded.failed} operations failed\n`)
    const clusterCpuUs = ((cpuMs ?? Number.NaN) - (before?.cpuMs ?? Number.NaN)) * (1000 / loaded.done)
    return { ...loaded, clusterCpuUs, perFsync: loaded.done / (fsyncs - (before?.fsyncs ?? 0)) }
  } finally {
    loader.kill()
  }
}

type Rival = 'skein' | 'etcd'
type Series<T> = Record<Rival, T[]>

function parseOrExit(args: readonly string[]): Arguments {
  try {
    return parse(args)
  } catch (error) {
    process.stderr.write(`bench:raft: ${(error as Error).message}\n`)
    process.exit(2)
  }
}

const { format, runs, seconds, kills, etcd } = parseOrExit(process.argv.slice(2))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)) // 'exit' kills what runs
const version = etcdVersion(etcd)
if (version === undefined) {
  process.stderr.write(
    `${etcd}: no etcd there, so nothing can be compared. Install it (Debian, Ubuntu: apt-get install etcd-server; others: https://etcd.io/docs/latest/install/) or name it: --etcd PATH\n`,
  )
}
const rivals: readonly Rival[] = version === undefined ? ['skein'] : ['skein', 'etcd']
const start = (rival: Rival): Promise<Cluster> => (rival === 'skein' ? SkeinCluster.start() : EtcdCluster.start(etcd))

const loads = [
  { name: 'writes', kind: 'put', clients: 1 },
  { name: 'writes', kind: 'put', clients: 16 },
  { name: 'writes', kind: 'put', clients: 64 },
  { name: 'writes', kind: 'put', clients: 256 },
  { name: 'linearizable reads', kind: 'get', clients: 64 },
] as const
type Name = `${(typeof loads)[number]['name']} ${number}`
const measured = new Map<Name, Series<Measured>>()
for (let run = 1; run <= runs; run++) {
  for (const { name, ...load } of loads) {
    const series = measured.get(`${name} ${load.clients}`) ?? { skein: [], etcd: [] }
    measured.set(`${name} ${load.clients}`, series)
    for (const rival of rivals) {
      const cluster = await start(rival)
      try {
        if (load.kind === 'get') await measure(cluster, { kind: 'put', clients: 64 }, Math.min(2, seconds)) // there is something to read
        const result = await measure(cluster, load, seconds)
        series[rival].push(result)
        note(`run ${run} of ${runs}: ${name}, ${load.clients} clients, ${rival}`, result)
      } finally {
        await cluster.stop()
      }
    }
  }
}

const inside: Record<256 | 4096, number[]> = { 256: [], 4096: [] }
for (let run = 1; run <= runs; run++) {
  const cluster = await SkeinCluster.start()
  try {
    for (const inFlight of [256, 4096] as const) {
      inside[inFlight].push(await cluster.propose(await cluster.leader(), inFlight, seconds * 1000))
      note(`run ${run} of ${runs}: inside the leader, ${inFlight} in flight`, { perSecond: inside[inFlight].at(-1) })
    }
  } finally {
    await cluster.stop()
  }
}

/** etcd takes seconds each time, and only stands beside: fewer losses are enough for it. */
const lossesOf = {
  killed: { skein: kills, etcd: Math.min(kills, 10) },
  silent: { skein: Math.ceil(kills / 5), etcd: Math.min(kills, 3) },
}
const losses: Record<'killed' | 'silent', Series<number>> = { killed: { skein: [], etcd: [] }, silent: { skein: [], etcd: [] } }
for (const rival of rivals) {
  const cluster = await start(rival)
  try {
    for (const loss of ['killed', 'silent'] as const) {
      for (let time = 1; time <= lossesOf[loss][rival]; time++) {
        losses[loss][rival].push(await loseLeader(cluster, loss))
        note(`${rival}: leader ${loss}, ${time} of ${lossesOf[loss][rival]}`, { ms: losses[loss][rival].at(-1) })
      }
    }
  } finally {
    await cluster.stop()
  }
}

const silences = await silenceLeaders(Math.max(kills, 1), (time, ms) =>
  note(`skein: leader's machine silent, ${time} of ${kills}`, { ms }),
)

const sent = await sendSnapshotUnderLoad(snapshotBytes, seconds)
note('skein: a follower receives a snapshot', sent)

const core: number[] = []
for (let run = 1; run <= runs; run++) {
  const { stdout, status } = spawnSync(process.execPath, [join(here, 'raft', 'core-alone.js'), String(seconds * 500)], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error('the core alone failed')
  core.push((JSON.parse(stdout) as CoreResult).perSecond)
}

function note(what: string, result: object): void {
  const words = Object.entries(result).map(([name, value]) => `${name} ${typeof value === 'number' ? round(value) : value}`)
  process.stderr.write(`${what}: ${words.join(', ')}\n`)
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100
}

function of(name: Name, field: keyof Measured, rival: 'skein'): number
function of(name: Name, field: keyof Measured, rival: Rival): number | null
function of(name: Name, field: keyof Measured, rival: Rival): number | null {
  const values = (measured.get(name)?.[rival] ?? []).map((one) => one[field])
  return values.length === 0 ? null : round(median(values))
}

function faster(figure: string, name: Name, times: number): Row {
  return timesRival(figure, of(name, 'perSecond', 'skein'), of(name, 'perSecond', 'etcd'), times, 'more')
}

function told(figure: string, name: Name, field: keyof Measured, better: 'more' | 'less'): Row {
  return toTell(figure, of(name, field, 'skein'), of(name, field, 'etcd'), better)
}

function lost(loss: 'killed' | 'silent', rival: 'skein', part: number): number
function lost(loss: 'killed' | 'silent', rival: Rival, part: number): number | null
function lost(loss: 'killed' | 'silent', rival: Rival, part: number): number | null {
  const all = losses[loss][rival]
  return all.length === 0 ? null : Math.round(percentile(all, part))
}

function silent(): Row {
  const figure = "leader's machine silent (packets dropped) → next acknowledged write, p99, ms"
  if ('skipped' in silences) return skipped(figure, '≤ 2200 ms', silences.skipped)
  return atMost(figure, Math.round(percentile(silences.ms, 0.99)), 2200, 'ms')
}

const writes = [1, 16, 64, 256] as const
const by = (clients: number): string => `${clients} ${clients === 1 ? 'client' : 'clients'}`
const bars = { 1: 1, 16: 1.5, 64: 2, 256: 2.5 }
const rows: Row[] = [
  ...writes.map((clients) => faster(`writes/s, ${by(clients)}`, `writes ${clients}`, bars[clients])),
  ...writes.map((clients) => told(`write p50, ${by(clients)}, ms`, `writes ${clients}`, 'p50Ms', 'less')),
  ...writes.slice(0, 3).map((clients) => told(`write p99, ${by(clients)}, ms`, `writes ${clients}`, 'p99Ms', 'less')),
  timesRival('write p99, 256 clients, ms', of('writes 256', 'p99Ms', 'skein'), of('writes 256', 'p99Ms', 'etcd'), 0.4, 'less'),
  ...writes.map((clients) => told(`writes per fsync of the leader, ${by(clients)}`, `writes ${clients}`, 'perFsync', 'more')),
  ...writes.map((clients) =>
    told(`CPU µs per write, three processes, ${by(clients)}`, `writes ${clients}`, 'clusterCpuUs', 'less'),
  ),
  told('CPU µs per write of the loader, 256 clients', 'writes 256', 'loaderCpuUs', 'less'),
  faster('linearizable reads/s, 64 clients', 'linearizable reads 64', 2),
  told('read p99, 64 clients, ms', 'linearizable reads 64', 'p99Ms', 'less'),
  atLeast("writes/s proposed inside the leader's process, 256 in flight", Math.round(median(inside[256])), 30_000, '/s'),
  atLeast("writes/s proposed inside the leader's process, 4,096 in flight", Math.round(median(inside[4096])), 60_000, '/s'),
  atMost(
    'leader SIGKILLed → next acknowledged write, median, ms',
    lost('killed', 'skein', 0.5),
    300,
    'ms',
    lost('killed', 'etcd', 0.5),
  ),
  atMost(
    'leader SIGKILLed → next acknowledged write, p99, ms',
    lost('killed', 'skein', 0.99),
    1000,
    'ms',
    lost('killed', 'etcd', 0.99),
  ),
  atMost(
    'leader SIGSTOPped → next acknowledged write, p99, ms',
    lost('silent', 'skein', 0.99),
    2200,
    'ms',
    lost('silent', 'etcd', 0.99),
  ),
  silent(),
  atLeast(
    'throughput while a follower receives a 500 MB snapshot, of before',
    Math.round((sent.duringPerSecond / sent.beforePerSecond) * 100) / 100,
    0.7,
    '×',
  ),
  atMost('leader changes while a follower receives a 500 MB snapshot', sent.leaderChanges, 0, ''),
  atLeast('core alone, three replicas, one thread, commits/s', Math.round(median(core)), 200_000, '/s'),
]
print({ machine: { ...machine(), etcd: version ?? 'none' }, rows }, format, [
  [
    `Medians of ${runs} runs of ${seconds} s; a fresh cluster with fresh directories for every run; skein and etcd in turn. 256-byte values, 10,000 keys,`,
    'every acknowledged write on the disks of two of three processes (fdatasync). Both snapshot every 100,000 entries and keep 5,000 behind. The loader',
    'talks to the leader over at most four connections, for both a protocol of its own making that multiplexes requests (for etcd that is gRPC on HTTP/2).',
    'What etcd does more for each write: it parses HTTP/2 and protobuf, checks authorisation, quota and leases, keeps every version of a key (MVCC)',
    'in a B-tree on disk (bbolt, committed every 100 ms) and serves watchers. The skein peer puts the value into a Map. So this compares replicated logs',
    'under their clients, not databases. For each read both confirm the leader with a quorum first, and batch those that wait.',
  ].join('\n'),
])
process.exitCode = rows.every(({ ok }) => ok !== false) ? 0 : 1
