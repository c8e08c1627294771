import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, type LogCounters, type Member, until } from './cluster.js'

interface Running extends Member {
  readonly child: ChildProcess
  readonly args: readonly string[]
}

/** The version of the etcd at this path, or undefined when there is none that answers. */
export function etcdVersion(path: string): string | undefined {
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  return status === 0 ? (/etcd Version: (\S+)/.exec(stdout)?.[1] ?? 'of unknown version') : undefined
}

/** Three etcd processes on this machine, with etcd's own defaults. */
export class EtcdCluster implements Cluster {
  readonly rival = 'etcd'
  readonly #path: string
  readonly #dir: string
  #members: Running[] = []
  /** However the benchmark ends: nobody else would stop them. */
  readonly #onExit = (): void => {
    for (const { child } of this.#members) child.kill('SIGKILL')
    rmSync(this.#dir, { recursive: true, force: true })
  }

  private constructor(path: string, dir: string) {
    this.#path = path
    this.#dir = dir
    process.once('exit', this.#onExit)
  }

  static async start(path: string): Promise<EtcdCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'skein-bench-etcd-'))
    const cluster = new EtcdCluster(path, dir)
    const ports = await freePorts(6)
    const names = ['a', 'b', 'c']
    const peerUrl = (at: number): string => `http://127.0.0.1:${ports[at * 2]}`
    const initial = names.map((name, at) => `${name}=${peerUrl(at)}`).join(',')
    cluster.#members = names.map((name, at) => {
      const port = ports[at * 2 + 1] as number
      const clientUrl = `http://127.0.0.1:${port}`
      const args = ['--name', name, '--data-dir', join(dir, name), '--log-level', 'error', '--logger', 'zap']
      args.push('--listen-peer-urls', peerUrl(at), '--initial-advertise-peer-urls', peerUrl(at))
      args.push('--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl)
      args.push('--initial-cluster', initial, '--initial-cluster-state', 'new')
      return cluster.#start(name, port, args)
    })
    await cluster.leader()
    return cluster
  }

  get members(): readonly Member[] {
    return this.#members
  }

  async leader(): Promise<Member> {
    let leader: Member | undefined
    await until('a leader of etcd', async () => {
      const all = await Promise.all(this.#members.map(async (member) => ({ member, status: await statusOf(member) })))
      leader = all.find(({ status }) => status !== undefined && status.leader === status.id)?.member
      return leader !== undefined
    })
    return leader as Member
  }

  async counters({ address }: Member): Promise<LogCounters> {
    const text = await (await fetch(`http://${address.host}:${address.port}/metrics`)).text()
    return { fsyncs: Number(/^etcd_disk_wal_fsync_duration_seconds_count (\S+)$/m.exec(text)?.[1]) }
  }

  kill(member: Member): void {
    const running = this.#members.find(({ pid }) => pid === member.pid) as Running
    running.child.kill('SIGKILL')
    this.#members = this.#members.filter((one) => one !== running)
  }

  async restart(member: Member): Promise<void> {
    const { name, address, args } = member as Running
    const again = this.#start(name, address.port, args)
    this.#members.push(again)
    const appliedIndex = (await statusOf(await this.leader()))?.appliedIndex ?? 0
    await until('a member of etcd back in step', async () => ((await statusOf(again))?.appliedIndex ?? -1) >= appliedIndex)
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#members.map(({ child }) => {
        const gone = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGKILL')
        return gone
      }),
    )
    process.off('exit', this.#onExit)
    rmSync(this.#dir, { recursive: true, force: true })
  }

  #start(name: string, port: number, args: readonly string[]): Running {
    const child = spawn(this.#path, args, { stdio: ['ignore', 'ignore', 'ignore'] })
    return { name: `etcd ${name}`, pid: child.pid as number, address: { host: '127.0.0.1', port }, child, args }
  }
}

interface EtcdStatus {
  readonly id: string
  readonly leader: string
  readonly appliedIndex: number
}

/** Asked through the HTTP gateway: this is not timed. Undefined while it does not answer. */
async function statusOf({ address }: Member): Promise<EtcdStatus | undefined> {
  try {
    const url = `http://${address.host}:${address.port}/v3/maintenance/status`
    const answer = await fetch(url, { method: 'POST', body: '{}', signal: AbortSignal.timeout(1000) })
    const status = (await answer.json()) as { header: { member_id: string }; leader?: string; raftAppliedIndex?: string }
    return { id: status.header.member_id, leader: status.leader ?? '', appliedIndex: Number(status.raftAppliedIndex ?? 0) }
  } catch {
    return undefined // it starts, or it has no leader yet: asked again
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
