/**
 * skein/raft beside etcd: three processes each, real disks with fsync, one loader process, interleaved on this machine in this run.
 *
 *     npm run bench:raft -- [--format text|json] [--runs 5] [--seconds 10] [--kills 50] [--only PARTS] [--etcd PATH]
 */
import { fork, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, cpuMsOf } from './raft/cluster.js'
import type { CoreResult } from './raft/core-alone.js'
import { EtcdCluster, etcdVersion } from './raft/etcd-cluster.js'
import { type Loss, loseLeader } from './raft/failover.js'
import type { Load, Loaded, LoaderNews } from './raft/loader.js'
import { silenceLeaders } from './raft/silent-machine.js'
import { nodeFlags, SkeinCluster } from './raft/skein-cluster.js'
import { sendSnapshotUnderLoad } from './raft/snapshot-load.js'
import { atLeast, atMost, machine, median, percentile, print, type Row, skipped, timesRival, toTell } from './report.js'

const snapshotBytes = 500e6
const here = dirname(fileURLToPath(import.meta.url))
/** Each produces its rows of the table; `--only` chooses among them. */
const parts = ['writes', 'reads', 'inside', 'killed', 'stopped', 'silent', 'snapshot', 'core'] as const
type Part = (typeof parts)[number]
const usage = `known are --format text|json, --runs N, --seconds S, --kills N, --only ${parts.join(',')}, --etcd PATH`

interface Arguments {
  readonly format: 'text' | 'json'
  readonly runs: number
  readonly seconds: number
  readonly kills: number
  readonly only: ReadonlySet<Part>
  readonly etcd: string
}

function parse(args: readonly string[]): Arguments {
  const known = { format: 'text', runs: '5', seconds: '10', kills: '50', only: parts.join(','), etcd: 'etcd' }
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
  const only = new Set(known.only.split(',').map(partNamed))
  return { format, runs: positive('runs'), seconds: positive('seconds'), kills: positive('kills'), only, etcd: known.etcd }
}

function partNamed(name: string): Part {
  const part = parts.find((one) => one === name)
  if (part === undefined) throw new Error(`--only ${name}: expected some of ${parts.join(',')}`)
  return part
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
      loader.send({
        rival,
        address: leader.address,
        ...load,
        warmUpMs,
        countMs: seconds * 1000,
      } satisfies Load)
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

const { format, runs, seconds, kills, only, etcd } = parseOrExit(process.argv.slice(2))
/** Both rivals are measured warm. */
const warmUpMs = Math.min(5000, seconds * 500)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)) // 'exit' kills what runs
const version = etcdVersion(etcd)
if (version === undefined) {
  process.stderr.write(
    `${etcd}: no etcd there, so nothing can be compared. Install it (Debian, Ubuntu: apt-get install etcd-server; others: https://etcd.io/docs/latest/install/) or name it: --etcd PATH\n`,
  )
}
const rivals: readonly Rival[] = version === undefined ? ['skein'] : ['skein', 'etcd']
const start = (rival: Rival): Promise<Cluster> => (rival === 'skein' ? SkeinCluster.start() : EtcdCluster.start(etcd))

function note(what: string, result: object): void {
  const words = Object.entries(result).map(([name, value]) => `${name} ${typeof value === 'number' ? round(value) : value}`)
  process.stderr.write(`${what}: ${words.join(', ')}\n`)
}

function round(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100
}

/** The median of one field of all runs. */
function of(series: Series<Measured>, field: keyof Measured, rival: 'skein'): number
function of(series: Series<Measured>, field: keyof Measured, rival: Rival): number | null
function of(series: Series<Measured>, field: keyof Measured, rival: Rival): number | null {
  return series[rival].length === 0 ? null : round(median(series[rival].map((one) => one[field])))
}

function told(figure: string, series: Series<Measured>, field: keyof Measured, better: 'more' | 'less'): Row {
  return toTell(figure, of(series, field, 'skein'), of(series, field, 'etcd'), better)
}

function barred(figure: string, series: Series<Measured>, field: keyof Measured, times: number, better: 'more' | 'less'): Row {
  return timesRival(figure, of(series, field, 'skein'), of(series, field, 'etcd'), times, better)
}

/** Both rivals in turn, `runs` times, for each number of clients. */
async function compare(kind: Load['kind'], clients: readonly number[]): Promise<readonly Series<Measured>[]> {
  const all = clients.map((): Series<Measured> => ({ skein: [], etcd: [] }))
  for (let run = 1; run <= runs; run++) {
    for (const [at, count] of clients.entries()) {
      for (const rival of rivals) {
        const cluster = await start(rival)
        try {
          if (kind === 'get') await measure(cluster, { kind: 'put', clients: 64 }, Math.min(2, seconds)) // there is something to read
          const result = await measure(cluster, { kind, clients: count }, seconds)
          all[at]?.[rival].push(result)
          note(`run ${run} of ${runs}: ${kind}, ${count} clients, ${rival}`, result)
        } finally {
          await cluster.stop()
        }
      }
    }
  }
  return all
}

async function writes(): Promise<Row[]> {
  const loads = [
    { clients: 1, times: 1 },
    { clients: 16, times: 1.5 },
    { clients: 64, times: 2 },
    { clients: 256, times: 2.5 },
  ]
  const all = await compare(
    'put',
    loads.map(({ clients }) => clients),
  )
  const each = (row: (words: string, series: Series<Measured>, times: number) => Row): Row[] =>
    loads.map(({ clients, times }, at) =>
      row(`${clients} ${clients === 1 ? 'client' : 'clients'}`, all[at] as Series<Measured>, times),
    )
  const most = all.at(-1) as Series<Measured>
  return [
    ...each((clients, series, times) => barred(`writes/s, ${clients}`, series, 'perSecond', times, 'more')),
    ...each((clients, series) => told(`write p50, ${clients}, ms`, series, 'p50Ms', 'less')),
    ...each((clients, series) => told(`write p99, ${clients}, ms`, series, 'p99Ms', 'less')).slice(0, -1),
    barred('write p99, 256 clients, ms', most, 'p99Ms', 0.4, 'less'),
    ...each((clients, series) => told(`writes per fsync of the leader, ${clients}`, series, 'perFsync', 'more')),
    ...each((clients, series) => told(`CPU µs per write, three processes, ${clients}`, series, 'clusterCpuUs', 'less')),
    told('CPU µs per write of the loader, 256 clients', most, 'loaderCpuUs', 'less'),
  ]
}

async function reads(): Promise<Row[]> {
  const [series] = await compare('get', [64])
  return [
    barred('linearizable reads/s, 64 clients', series as Series<Measured>, 'perSecond', 2, 'more'),
    told('read p99, 64 clients, ms', series as Series<Measured>, 'p99Ms', 'less'),
  ]
}

async function inside(): Promise<Row[]> {
  const rates = { 256: [] as number[], 4096: [] as number[] }
  for (let run = 1; run <= runs; run++) {
    const cluster = await SkeinCluster.start()
    try {
      for (const inFlight of [256, 4096] as const) {
        rates[inFlight].push(await cluster.propose(await cluster.leader(), inFlight, seconds * 1000))
        note(`run ${run} of ${runs}: inside the leader, ${inFlight} in flight`, { perSecond: rates[inFlight].at(-1) })
      }
    } finally {
      await cluster.stop()
    }
  }
  return [
    atLeast("writes/s proposed inside the leader's process, 256 in flight", Math.round(median(rates[256])), 30_000, '/s'),
    atLeast("writes/s proposed inside the leader's process, 4,096 in flight", Math.round(median(rates[4096])), 60_000, '/s'),
  ]
}

/** Milliseconds until the next acknowledged write, each time the leader is lost. */
async function lose(loss: Loss, times: Record<Rival, number>): Promise<Series<number>> {
  const all: Series<number> = { skein: [], etcd: [] }
  for (const rival of rivals) {
    const cluster = await start(rival)
    try {
      for (let time = 1; time <= times[rival]; time++) {
        all[rival].push(await loseLeader(cluster, loss))
        note(`${rival}: leader ${loss}, ${time} of ${times[rival]}`, { ms: all[rival].at(-1) })
      }
    } finally {
      await cluster.stop()
    }
  }
  return all
}

function lost(figure: string, { skein, etcd }: Series<number>, part: number, boundMs: number): Row {
  const rival = etcd.length === 0 ? null : Math.round(percentile(etcd, part))
  return atMost(figure, Math.round(percentile(skein, part)), boundMs, 'ms', rival)
}

// etcd takes seconds each time, and only stands beside: fewer losses are enough for it.
async function killed(): Promise<Row[]> {
  const all = await lose('killed', { skein: kills, etcd: Math.min(kills, 10) })
  return [
    lost('leader SIGKILLed → next acknowledged write, median, ms', all, 0.5, 300),
    lost('leader SIGKILLed → next acknowledged write, p99, ms', all, 0.99, 1000),
  ]
}

async function stopped(): Promise<Row[]> {
  const all = await lose('silent', { skein: Math.ceil(kills / 5), etcd: Math.min(kills, 3) })
  return [lost('leader SIGSTOPped → next acknowledged write, p99, ms', all, 0.99, 2200)]
}

async function silent(): Promise<Row[]> {
  const figure = "leader's machine silent (packets dropped) → next acknowledged write, p99, ms"
  const silences = await silenceLeaders(kills, (time, ms) => note(`skein: leader's machine silent, ${time} of ${kills}`, { ms }))
  if ('skipped' in silences) return [skipped(figure, '≤ 2200 ms', silences.skipped)]
  return [atMost(figure, Math.round(percentile(silences.ms, 0.99)), 2200, 'ms')]
}

async function snapshot(): Promise<Row[]> {
  const sent = await sendSnapshotUnderLoad(snapshotBytes, seconds)
  note('skein: a follower receives a snapshot', sent)
  const part = Math.round((sent.duringPerSecond / sent.beforePerSecond) * 100) / 100
  return [
    atLeast('throughput while a follower receives a 500 MB snapshot, of before', part, 0.7, '×'),
    atMost('leader changes while a follower receives a 500 MB snapshot', sent.leaderChanges, 0, ''),
  ]
}

async function core(): Promise<Row[]> {
  const rates: number[] = []
  for (let run = 1; run <= runs; run++) {
    const { stdout, status } = spawnSync(process.execPath, [join(here, 'raft', 'core-alone.js'), String(seconds * 500)], {
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error('the core alone failed')
    rates.push((JSON.parse(stdout) as CoreResult).perSecond)
  }
  return [atLeast('core alone, three replicas, one thread, commits/s', Math.round(median(rates)), 200_000, '/s')]
}

const rowsOf: Readonly<Record<Part, () => Promise<Row[]>>> = { writes, reads, inside, killed, stopped, silent, snapshot, core }
const before = machine()
const rows: Row[] = []
for (const part of parts) if (only.has(part)) rows.push(...(await rowsOf[part]()))
print({ machine: { ...before, etcd: version ?? 'none' }, rows }, format, [
  [
    `Medians of ${runs} runs of ${seconds} s, each after ${warmUpMs / 1000} s that do not count (V8 compiles meanwhile what is hot); a fresh cluster with fresh`,
    `directories for every run; skein and etcd in turn; skein's processes with ${nodeFlags.join(' ')}. 256-byte values, 10,000 keys,`,
    'every acknowledged write on the disks of two of three processes (fdatasync). Both snapshot every 100,000 entries and keep 5,000 behind. The loader',
    'talks to the leader over at most four connections, for both a protocol of its own making that multiplexes requests (for etcd that is gRPC on HTTP/2).',
    'What etcd does more for each write: it parses HTTP/2 and protobuf, checks authorisation, quota and leases, keeps every version of a key (MVCC)',
    'in a B-tree on disk (bbolt, committed every 100 ms) and serves watchers. The skein peer puts the value into a Map. So this compares replicated logs',
    'under their clients, not databases. For each read both confirm the leader with a quorum first, and batch those that wait.',
  ].join('\n'),
])
process.exitCode = rows.every(({ ok }) => ok !== false) ? 0 : 1
