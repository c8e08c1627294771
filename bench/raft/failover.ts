/** How long after the leader is gone a write is acknowledged again. */
import type { Cluster, Member } from './cluster.js'
import { EtcdTarget } from './etcd-target.js'
import { SkeinTarget } from './skein-target.js'
import { type Target, valueBytes } from './target.js'

/** Every live peer is asked this often, without waiting for earlier answers: the first acknowledgement ends the clock. */
const askEveryMs = 5
const giveUpMs = 30_000
/** Between two losses: a cluster that was well for a while, for links and timers of either rival. */
const calmMs = 3500

/**
 * `killed`: SIGKILL, the system closes its sockets. `silent`: SIGSTOP, its sockets stay open and nothing answers, as when its machine
 * is cut off.
 */
export type Loss =
  | 'killed'
  | 'silent'
  /** Ways of the caller's own. */
  | { lose(leader: Member): Promise<void>; regain(leader: Member): Promise<void> }

/** Milliseconds from the loss of the leader to the next acknowledged write. The lost one is back in step afterwards. */
export async function loseLeader(cluster: Cluster, loss: Loss): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, calmMs))
  const leader = await cluster.leader()
  const others = cluster.members.filter((member) => member !== leader)
  const targets = await Promise.all(others.map((member) => connect(cluster, member)))
  try {
    const ms = await timeToWrite(targets, async () => {
      if (loss === 'killed') cluster.kill(leader)
      else if (loss === 'silent') process.kill(leader.pid, 'SIGSTOP')
      else await loss.lose(leader)
    })
    if (loss === 'killed') await cluster.restart(leader)
    else if (loss === 'silent') await resume(cluster, leader)
    else await loss.regain(leader)
    return ms
  } finally {
    for (const target of targets) target.close()
  }
}

async function timeToWrite(targets: readonly Target[], lose: () => Promise<void>): Promise<number> {
  await lose()
  return await new Promise((resolve, reject) => {
    const value = Buffer.alloc(valueBytes, 'v')
    const lostMs = performance.now()
    const ask = (): void => {
      if (performance.now() - lostMs > giveUpMs)
        finish(() => reject(new Error(`no write for ${giveUpMs / 1000} s after the leader was lost`)))
      for (const target of targets) {
        target.put('after-the-loss', value, (ok) => {
          if (ok) finish(() => resolve(performance.now() - lostMs))
        })
      }
    }
    const timer = setInterval(ask, askEveryMs)
    const finish = (settle: () => void): void => {
      clearInterval(timer)
      settle()
    }
    ask()
  })
}

/** The stopped one finds out that it was replaced before the next leader is lost. */
async function resume(cluster: Cluster, leader: Member): Promise<void> {
  process.kill(leader.pid, 'SIGCONT')
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await cluster.leader()
}

async function connect(cluster: Cluster, { address }: Member): Promise<Target> {
  const { host, port } = address
  return cluster.rival === 'skein' ? await SkeinTarget.connect(host, port) : await EtcdTarget.connect(host, port)
}
