/** The loader: a process of its own that keeps N clients busy, each waiting for its answer before it asks again. */
import { EtcdTarget } from './etcd-target.js'
import { SkeinTarget } from './skein-target.js'
import { keys, type Target, valueBytes } from './target.js'

export interface Load {
  readonly rival: 'skein' | 'etcd'
  readonly address: { readonly host: string; readonly port: number }
  readonly kind: 'put' | 'get'
  readonly clients: number
  /** Milliseconds before counting begins. */
  readonly warmUpMs: number
  readonly countMs: number
}

export interface Loaded {
  readonly done: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Microseconds of CPU the loader spent on one operation. */
  readonly loaderCpuUs: number
}

/** Clients share this many connections at most. */
const connectionsMax = 4

/** Sent to the parent when counting begins and when it ends, so that it can read CPU and disk counters of exactly that time. */
export type LoaderNews = { readonly type: 'counting' } | { readonly type: 'counted'; readonly loaded: Loaded }

async function run({ rival, address, kind, clients, warmUpMs, countMs }: Load): Promise<void> {
  const count = Math.min(connectionsMax, clients)
  const kindOf = rival === 'skein' ? SkeinTarget : EtcdTarget
  const targets: Target[] = await Promise.all(Array.from({ length: count }, () => kindOf.connect(address.host, address.port)))
  const value = Buffer.alloc(valueBytes, 'v')
  const latencies: number[] = []
  let failed = 0
  let state: 'warming' | 'counting' | 'over' = 'warming'
  const ask = (target: Target): void => {
    if (state === 'over') return
    const sentMs = performance.now()
    const key = `key-${Math.floor(Math.random() * keys)}`
    const done = (ok: boolean): void => {
      if (state === 'counting') {
        if (ok) latencies.push(performance.now() - sentMs)
        else failed++
      }
      if (ok) ask(target)
      else if (state !== 'over') setTimeout(ask, 10, target)
    }
    if (kind === 'put') target.put(key, value, done)
    else target.get(key, done)
  }
  for (let client = 0; client < clients; client++) ask(targets[client % count] as Target)
  await new Promise((resolve) => setTimeout(resolve, warmUpMs))
  state = 'counting'
  tell({ type: 'counting' })
  const [beganMs, cpu] = [performance.now(), process.cpuUsage()]
  await new Promise((resolve) => setTimeout(resolve, countMs))
  state = 'over'
  const seconds = (performance.now() - beganMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  for (const target of targets) target.close()
  latencies.sort((a, b) => a - b)
  const at = (part: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? Number.NaN
  const done = latencies.length
  const loaded = { done, failed, perSecond: done / seconds, p50Ms: at(0.5), p99Ms: at(0.99), loaderCpuUs: (user + system) / done }
  tell({ type: 'counted', loaded })
}

function tell(news: LoaderNews): void {
  process.send?.(news)
}

process.on('message', (load: Load) => {
  void run(load).catch((error: unknown) => {
    process.stderr.write(`loader: ${String(error)}\n`)
    process.exit(1)
  })
})

process.on('disconnect', () => process.exit()) // the benchmark is over, however it ended
