import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** A direction in which packets are lost, by the peers' numbers. */
export type Cut = readonly [from: number, to: number]

/** What the peers of a run are connected by. */
export interface Network {
  /** host:port for a peer to listen on. */
  listen(peer: number): string
  /** The command line that runs a program where this peer lives. */
  command(peer: number, file: string, args: readonly string[]): readonly [file: string, args: readonly string[]]
  /** From now on exactly these directions lose every packet, silently; undefined where that cannot be done. */
  readonly cut: ((cuts: readonly Cut[]) => Promise<void>) | undefined
  close(): Promise<void>
}

/** All peers on 127.0.0.1: nothing can be cut. */
export const loopback: Network = {
  listen: () => '127.0.0.1:0',
  command: (_peer, file, args) => [file, args],
  cut: undefined,
  close: async () => undefined,
}

const port = 7946
/** A link-layer address that nobody has: what is sent there is lost without a word. */
const nowhere = '02:00:00:00:00:fe'
const lost = `lladdr ${nowhere} nud permanent dev eth0`

/** Why namespaces cannot be had here; undefined when they can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces need Linux, this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const name = `skein-probe-${process.pid}`
  const script = `netns add ${name}\nlink add ${name.slice(-15)} type bridge\nlink del ${name.slice(-15)}\nnetns del ${name}\n`
  const { error, status, stderr } = spawnSync('ip', ['-batch', '-'], { input: script, encoding: 'utf8' })
  if (error !== undefined) return 'network namespaces need the command ip (iproute2)'
  if (status === 0) return undefined
  spawnSync('ip', ['netns', 'del', name])
  return `network namespaces are not allowed here: ${stderr.trim().split('\n')[0]}`
}

/**
 * A namespace for every peer, joined by a bridge on which this process is a host too. A cut is a wrong link-layer address for the
 * other peer: nothing is refused or reset, packets just never arrive, in that direction only.
 * @param owned Told the name of everything that outlives this process, before it is made.
 */
export async function openNamespaces(peers: number, owned: (kind: 'netns' | 'link', name: string) => void): Promise<Network> {
  const id = process.pid.toString(36)
  const bridge = `skc-${id}`
  const net = freeNet()
  const all = Array.from({ length: peers }, (_, peer) => peer)
  const name = (peer: number): string => `skc-${id}-${peer}`
  const link = (peer: number): string => `skc${peer}-${id}`
  const address = (peer: number): string => `${net}.${peer + 1}`
  owned('link', bridge)
  for (const peer of all) {
    owned('link', link(peer))
    owned('netns', name(peer))
  }
  const close = async (): Promise<void> => {
    // A namespace lives on while a killed process's connection still tries to say its last words; its link is taken from it first.
    const links = [...all.map((peer) => `link del ${link(peer)}`), `link del ${bridge}`]
    await ip(undefined, [...links, ...all.map((peer) => `netns del ${name(peer)}`)], 'go on')
  }
  try {
    await ip(undefined, [`link add ${bridge} type bridge`, `addr add ${net}.254/24 dev ${bridge}`, `link set ${bridge} up`])
    for (const peer of all) {
      const add = `link add ${link(peer)} type veth peer name eth0 netns ${name(peer)}`
      await ip(undefined, [`netns add ${name(peer)}`, add, `link set ${link(peer)} master ${bridge} up`])
      await ip(name(peer), [`addr add ${address(peer)}/24 dev eth0`, 'link set lo up', 'link set eth0 up'])
    }
  } catch (error) {
    await close()
    throw error
  }
  let current: readonly Cut[] = []
  return {
    listen: (peer) => `${address(peer)}:${port}`,
    command: (peer, file, args) => ['ip', ['netns', 'exec', name(peer), file, ...args]],
    async cut(cuts) {
      const [old, wanted] = [current, cuts]
      current = cuts
      await Promise.all(
        all.map(async (peer) => {
          const gone = old.filter(([from]) => from === peer).map(([, to]) => `neigh del ${address(to)} dev eth0`)
          const made = wanted.filter(([from]) => from === peer).map(([, to]) => `neigh replace ${address(to)} ${lost}`)
          if (gone.length + made.length > 0) await ip(name(peer), [...gone, ...made])
        }),
      )
    },
    close,
  }
}

/** A 10.x.y that no interface of this machine has. */
function freeNet(): string {
  const { stdout } = spawnSync('ip', ['-4', '-o', 'addr'], { encoding: 'utf8' })
  for (let turn = 0; ; turn++) {
    const place = (process.pid + turn) % 32_768
    const net = `10.${128 + (place >> 8)}.${place & 255}`
    if (!stdout.includes(`${net}.`)) return net
  }
}

async function ip(namespace: string | undefined, lines: readonly string[], onError: 'stop' | 'go on' = 'stop'): Promise<void> {
  const args = [...(namespace === undefined ? [] : ['-n', namespace]), ...(onError === 'go on' ? ['-force'] : []), '-batch', '-']
  const child = spawn('ip', args, { stdio: ['pipe', 'ignore', 'pipe'] })
  const words: Buffer[] = []
  child.stderr.on('data', (part: Buffer) => words.push(part))
  child.stdin.on('error', () => undefined) // it ended at an earlier line, and its exit code says so
  child.stdin.end(`${lines.join('\n')}\n`)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0 && onError === 'stop')
    throw new Error(`ip failed: ${Buffer.concat(words).toString().trim()} (${lines.join('; ')})`)
}
