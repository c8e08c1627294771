import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { loopback, type Network } from '../../test/chaos/network.js'
import { type Cluster, type LogCounters, type Member, until } from './cluster.js'
import type { PeerNews, PeerOrder, PeerSetup, PeerStatus } from './skein-peer.js'

/**
 * What a peer that is measured for its tail wants from V8 where there are as many peers as processors (docs/operations.md): little
 * to copy in each collection of new objects, and one helper thread, because more of them only take turns with the other peers.
 */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=4', '--v8-pool-size=1']
const peers = [1, 2, 3].map((id) => ({ id, node: `benchpeer00${id}` }))

interface Running extends Member {
  readonly id: number
  readonly child: ChildProcess
  readonly links: string
}

export class SkeinCluster implements Cluster {
  readonly rival = 'skein'
  readonly #dir: string
  readonly #authority: TestAuthority
  readonly #network: Network
  #members: Running[] = []
  #nextTag = 1
  /** However the benchmark ends; the peers notice it by themselves. */
  readonly #onExit = (): void => rmSync(this.#dir, { recursive: true, force: true })

  private constructor(dir: string, network: Network, authority: TestAuthority) {
    this.#dir = dir
    this.#authority = authority
    this.#network = network
    process.once('exit', this.#onExit)
  }

  /** @param o.network Where the peers live, numbered from 0; default: this machine's loopback. */
  static async start({ network = loopback }: { readonly network?: Network } = {}): Promise<SkeinCluster> {
    const authority = await TestAuthority.make('bench0000000')
    const cluster = new SkeinCluster(await mkdtemp(join(tmpdir(), 'skein-bench-')), network, authority)
    cluster.#members = await Promise.all(peers.map(({ id }) => cluster.#start(id, 0)))
    for (const member of cluster.#members) cluster.#link(member)
    await cluster.leader()
    return cluster
  }

  get members(): readonly Member[] {
    return this.#members
  }

  async leader(): Promise<Member> {
    let leader: Member | undefined
    await until('a leader of skein', async () => {
      const all = await Promise.all(this.#members.map(async (member) => ({ member, status: await this.status(member) })))
      leader = all.filter(({ status }) => status.leads).sort((a, b) => b.status.term - a.status.term)[0]?.member
      return leader !== undefined
    })
    return leader as Member
  }

  async status(member: Member): Promise<PeerStatus> {
    const tag = this.#nextTag++
    const news = await this.#ask(member, { type: 'status', tag })
    return (news as Extract<PeerNews, { type: 'status' }>).status
  }

  async counters(member: Member): Promise<LogCounters> {
    return { fsyncs: (await this.status(member)).fsyncs }
  }

  /** Writes per second proposed inside the member's own process. */
  async propose(member: Member, inFlight: number, forMs: number): Promise<number> {
    const tag = this.#nextTag++
    const news = await this.#ask(member, { type: 'propose', tag, inFlight, forMs })
    return (news as Extract<PeerNews, { type: 'proposed' }>).perSecond
  }

  /** Makes the state of all larger by so many bytes. */
  async grow(leader: Member, sizeBytes: number): Promise<void> {
    await this.#ask(leader, { type: 'grow', tag: this.#nextTag++, sizeBytes })
  }

  /** Resolves once the member has a new snapshot, and its log begins behind it. */
  async snapshot(member: Member): Promise<void> {
    await this.#ask(member, { type: 'snapshot', tag: this.#nextTag++ })
  }

  kill(member: Member): void {
    const running = this.#running(member)
    running.child.kill('SIGKILL')
    this.#members = this.#members.filter((one) => one !== running)
  }

  /** Starts a killed member again from its directory. */
  async relaunch(member: Member): Promise<Member> {
    const { id, links } = member as Running
    const again = await this.#start(id, Number(links.slice(links.lastIndexOf(':') + 1)))
    this.#members.push(again)
    this.#link(again)
    return again
  }

  async restart(member: Member): Promise<void> {
    const again = await this.relaunch(member)
    const { appliedIndex } = await this.status(await this.leader())
    await until('a member back in step', async () => (await this.status(again)).appliedIndex >= appliedIndex)
  }

  async stop(): Promise<void> {
    await Promise.all(
      // One that ended by itself has nothing left to wait for; whoever asked it something has heard so.
      this.#members
        .filter(({ child }) => child.connected)
        .map(({ child }) => {
          const gone = new Promise((resolve) => child.once('exit', resolve))
          child.disconnect() // it ends by itself then
          return gone
        }),
    )
    process.off('exit', this.#onExit)
    rmSync(this.#dir, { recursive: true, force: true })
  }

  async #start(id: number, linkPort: number): Promise<Running> {
    const listen = this.#network.listen(id - 1)
    const host = listen.slice(0, listen.lastIndexOf(':'))
    const key = this.#authority.keyString('manager', nodeOf(id))
    const setup: PeerSetup = { id, dir: join(this.#dir, String(id)), peers, host, linkPort, key }
    const peerFile = fileURLToPath(new URL('./skein-peer.js', import.meta.url))
    const [file, args] = this.#network.command(id - 1, process.execPath, [...nodeFlags, peerFile, JSON.stringify(setup)])
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const news = await new Promise<PeerNews>((resolve, reject) => {
      child.once('message', (first) => resolve(first as PeerNews))
      child.once('exit', (code) => reject(new Error(`peer ${id} ended with ${code} before it listened`)))
    })
    if (news.type !== 'listening') throw new Error(`peer ${id} said ${news.type} first`)
    const address = { host, port: news.clientPort }
    return { id, name: `skein ${id}`, pid: child.pid as number, child, address, links: news.links }
  }

  #link({ id, child }: Running): void {
    const others = this.#members.filter((member) => member.id !== id)
    const addresses = Object.fromEntries(others.map((other) => [nodeOf(other.id), other.links]))
    child.send({ type: 'link', addresses } satisfies PeerOrder)
  }

  #ask(member: Member, order: PeerOrder & { readonly tag: number }): Promise<PeerNews> {
    const { child } = this.#running(member)
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error(`${member.name} ended`))
      const heard = (news: unknown): void => {
        if ((news as { readonly tag?: number }).tag !== order.tag) return
        child.off('message', heard)
        child.off('exit', gone)
        resolve(news as PeerNews)
      }
      child.on('message', heard)
      child.once('exit', gone)
      child.send(order)
    })
  }

  #running(member: Member): Running {
    return this.#members.find(({ pid }) => pid === member.pid) as Running
  }
}

function nodeOf(id: number): string {
  return (peers.find((peer) => peer.id === id) as (typeof peers)[number]).node
}
