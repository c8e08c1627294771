import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Network } from './network.js'

/** What is done to the packets that arrive at a peer's namespace, of whatever protocol, before anybody sees them. */
export interface Filtered {
  /** Part of all packets that is dropped at random: 0 to 1. */
  readonly lossRate?: number
  /** Whether datagrams (UDP) are dropped. */
  readonly datagrams?: 'pass' | 'drop'
}

/** Why packets cannot be filtered here; undefined when they can. */
export function whyNoPacketFilter(): string | undefined {
  const { error, status } = spawnSync('nft', ['--version'])
  return error === undefined && status === 0 ? undefined : 'filtering packets needs the command nft (nftables)'
}

/** From now on exactly this happens to what arrives at this peer; nothing when nothing is named. */
export async function filterPackets(
  network: Network,
  peer: number,
  { lossRate = 0, datagrams = 'pass' }: Filtered,
): Promise<void> {
  const rules = [
    ...(datagrams === 'drop' ? ['meta l4proto udp drop'] : []),
    ...(lossRate > 0 ? [`iifname != "lo" numgen random mod 1000 < ${Math.round(lossRate * 1000)} drop`] : []),
  ]
  const table = 'table inet skein_faults'
  const chain = ['chain arriving {', 'type filter hook input priority 0; policy accept;', ...rules, '}']
  // Made before it is deleted, so that the first time is like every other.
  const lines = [table, `delete ${table}`, ...(rules.length > 0 ? [`${table} {`, ...chain, '}'] : [])]
  const [file, args] = network.command(peer, 'nft', ['-f', '-'])
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'pipe'] })
  const words: Buffer[] = []
  child.stderr.on('data', (part: Buffer) => words.push(part))
  child.stdin.on('error', () => undefined) // it ended before it had read all, and its exit code says so
  child.stdin.end(`${lines.join('\n')}\n`)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`nft failed: ${Buffer.concat(words).toString().trim()}`)
}
