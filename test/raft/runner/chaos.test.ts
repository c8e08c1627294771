import t from 'tap'
import { below, pick, seededRandom } from '../../../lib/base/random.js'
import { FaultyDisk } from '../wal/faulty-disk.js'
import { bytes, Cluster, type Peer } from './cluster.js'

const ids = [1, 2, 3]
const options = { tickMs: 10, snapshotEveryEntries: 15, trailingEntries: 3, segmentBytes: 600 }

/** Power cuts, partitions and writes in random order, on disks that forget what was not synced. */
async function storm(seed: number, rounds: number): Promise<{ acknowledged: number; restores: number; cuts: number }> {
  const random = seededRandom(seed)
  const disks = new Map(ids.map((id) => [id, new FaultyDisk()]))
  const cluster = await Cluster.create((id) => disks.get(id) as FaultyDisk)
  const acknowledged: string[] = []
  let [writes, cuts] = [0, 0]
  try {
    await cluster.found(ids, options)
    for (let round = 0; round < rounds; round++) {
      const leader = await cluster.leader()
      const burst = Array.from({ length: 1 + below(random, 12) }, () => {
        const text = `write ${writes++}`
        return leader.runner.propose(bytes(text), { deadlineMs: 2000 }).then(
          () => acknowledged.push(text),
          () => undefined, // refused or unknown: nothing was promised
        )
      })
      if (random() < 0.5) await Promise.race(burst)
      else await Promise.all(burst)

      const victim = random() < 0.4 ? leader.id : (pick(random, ids) as number)
      if (random() < 0.6) {
        await cluster.kill(victim)
        cuts++
        disks.set(victim, (disks.get(victim) as FaultyDisk).afterPowerCut(random))
        if (random() < 0.4) await (await cluster.leader()).runner.propose(bytes(`alone ${round}`)).catch(() => undefined)
        await cluster.start(victim, options)
      } else if (random() < 0.5) {
        cluster.isolate(victim)
        const rest = cluster.peers.filter(({ id }) => id !== victim)
        const next = await cluster.leader(rest)
        await next.runner.propose(bytes(`without ${victim} ${round}`)).catch(() => undefined)
        cluster.heal()
      }
    }
    const leader = await writeLast(cluster)
    await cluster.until(() => cluster.peers.every(({ machine }) => machine.texts.at(-1) === leader.machine.texts.at(-1)))
    for (const { id, machine } of cluster.peers) {
      if (machine.texts.join() !== leader.machine.texts.join()) throw new Error(`peer ${id} differs from ${leader.id}`)
    }
    const { texts } = leader.machine
    const missing = acknowledged.filter((text) => !texts.includes(text))
    if (missing.length > 0) throw new Error(`acknowledged and gone: ${missing.join()}`)
    if (new Set(texts).size !== texts.length) throw new Error('something was applied twice')
    for (const { runner } of cluster.peers) {
      if (runner.status().conf.voters.join() !== ids.join()) throw new Error('the members changed')
    }
    return { acknowledged: acknowledged.length, restores: cluster.piecesCarried, cuts }
  } finally {
    await cluster.end()
  }
}

/** One write that is acknowledged after everything else, however often leadership still changes; returns who took it. */
async function writeLast(cluster: Cluster): Promise<Peer> {
  for (let attempt = 1; ; attempt++) {
    const leader = await cluster.leader()
    const done = leader.runner.propose(bytes(`the end ${attempt}`)).then(
      () => true,
      () => false, // leadership was lost once more
    )
    if (await done) return leader
  }
}

t.test('nothing that was acknowledged is ever lost, whatever happens to power and links', async (t) => {
  const total = { acknowledged: 0, restores: 0, cuts: 0 }
  const seeds = Number(process.env.SKEIN_CHAOS_SEEDS ?? 3)
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      const { acknowledged, restores, cuts } = await storm(seed, 12)
      total.acknowledged += acknowledged
      total.restores += restores
      total.cuts += cuts
      t.pass(`seed ${seed}`)
    } catch (error) {
      t.fail(`seed ${seed}: ${String(error)}`)
    }
  }
  t.ok(total.acknowledged > seeds * 20 && total.cuts > seeds * 3, JSON.stringify(total))
})
