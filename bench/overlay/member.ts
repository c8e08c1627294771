/** One member of a group as a process of its own: links over TLS, sealed datagrams, SWIM. Tells its parent what it sees, and ends with it. */
import type { NodeId } from '../../lib/base/ids.js'
import { silentLogger } from '../../lib/base/logger.js'
import { foundKeyring } from '../../lib/model/keyring.js'
import { DatagramLane, sealBytes, UdpSocket } from '../../lib/overlay/datagram/index.js'
import { SwimRunner, tcpTriage } from '../../lib/overlay/swim/index.js'
import { LinkPool } from '../../lib/overlay/transport/index.js'
import { systemClock, systemRandom } from '../../lib/peer/system-world.js'
import { Credentials, parseKeyString } from '../../lib/security/index.js'
import { monotonicMs } from './monotonic.js'

export interface MemberSetup {
  readonly node: string
  readonly cluster: string
  readonly epoch: number
  /** `host:port`; port 0 the first time. */
  readonly listen: string
  /** Certificate and key for its links. */
  readonly key: string
  /** Members to come in through: it holds a link to each, as a worker does to its manager. */
  readonly seeds: readonly { readonly node: string; readonly address: string }[]
  /** How many it takes to be all, itself included. */
  readonly members: number
}

/** What a parent may ask. */
export interface MemberOrder {
  readonly type: 'count'
  readonly tag: number
}

/** What left it since the start, for the sake of membership. */
export interface MemberTraffic {
  readonly datagrams: number
  /** Of the datagrams as the socket takes them: payload and seal, without the headers of UDP and IP. */
  readonly datagramBytes: number
  readonly linkMessages: number
  /** Payloads handed to links. */
  readonly linkBytes: number
}

export interface MemberCounts extends MemberTraffic {
  /** 0: it keeps up; above, it waits longer and probes less often. */
  readonly healthScore: number
  readonly isStreamOnly: boolean
}

/** @see monotonicMs for `atMs`. */
export type MemberNews =
  | { readonly type: 'listening'; readonly address: string }
  /** From now on it holds all for here, or not any more. */
  | { readonly type: 'complete' | 'incomplete'; readonly atMs: number }
  | { readonly type: 'failed' | 'suspect'; readonly subject: string; readonly atMs: number }
  | { readonly type: 'counted'; readonly tag: number; readonly counts: MemberCounts }

const portTries = 5

async function bind(setup: MemberSetup): Promise<{ readonly pool: LinkPool; readonly socket: UdpSocket }> {
  const { own, trust } = parseKeyString(setup.key)
  const credentials = new Credentials({ own, trust }, () => systemClock.wallMs())
  const host = { node: setup.node, credentials, admit: () => undefined, handlers: new Map(), onRaftFrame: () => undefined }
  for (let left = portTries; ; left--) {
    const pool = await LinkPool.listen(host, { listen: setup.listen, clock: systemClock, random: systemRandom })
    try {
      return { pool, socket: await UdpSocket.bind(pool.address) }
    } catch (error) {
      await pool.stop()
      // The free TCP port that was found is taken for UDP: another is found.
      if (left === 0) throw error
    }
  }
}

async function run(setup: MemberSetup): Promise<void> {
  const { node, cluster, epoch } = setup
  const { pool, socket } = await bind(setup)
  const keyring = foundKeyring([new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)], 0)
  const lane = new DatagramLane(socket, { node, cluster, epoch, keyring: () => keyring })
  const runner = new SwimRunner({
    node: node as NodeId,
    epoch,
    address: pool.address,
    links: pool,
    datagrams: lane,
    triage: tcpTriage(systemClock),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  })
  let isComplete = false
  runner.watch(({ type, member }) => {
    const atMs = monotonicMs()
    if (type === 'failed') tell({ type, subject: member.id, atMs })
    if (type === 'suspect' && member.accusations.some(({ by }) => by === node)) tell({ type, subject: member.id, atMs })
    if (isComplete === (runner.core.hereCount === setup.members)) return
    isComplete = !isComplete
    tell({ type: isComplete ? 'complete' : 'incomplete', atMs })
  })
  process.on('message', ({ tag }: MemberOrder) => {
    const { sent: datagrams, sentBytes: datagramBytes } = lane.counters
    const { sentOverLinks: linkMessages, sentBytes, isStreamOnly } = runner.counters
    const counts: MemberCounts = {
      datagrams,
      datagramBytes,
      linkMessages,
      // The runner counts payloads of both ways.
      linkBytes: sentBytes - (datagramBytes - datagrams * sealBytes),
      healthScore: runner.core.healthScore,
      isStreamOnly: isStreamOnly === 1,
    }
    tell({ type: 'counted', tag, counts })
  })
  process.once('disconnect', () => process.exit(0)) // the parent is gone
  runner.start()
  for (const seed of setup.seeds) pool.keep(seed.node, seed.address, 'bench')
  tell({ type: 'listening', address: pool.address })
}

function tell(news: MemberNews): void {
  process.send?.(news)
}

// Not awaited: the bundle is a CommonJS file, as those of deployed apps mostly are.
void run(JSON.parse(process.argv[2] ?? '') as MemberSetup)
