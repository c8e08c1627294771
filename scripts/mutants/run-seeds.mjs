// The layer of seeds: simulates the kept seeds, then seeds 1 to N, with the core found in a folder; ends at the first claim broken.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, count] = process.argv.slice(2)
const load = (path) => import(pathToFileURL(join(folder, path)).href)
const { simulate } = await load('lib/sim/index.js')
const { knownSeeds } = await load('test/sim/raft-seeds.js')
const runs = [...knownSeeds, ...Array.from({ length: Number(count) }, (_, at) => ({ seed: at + 1 }))]
for (const { seed, eventsMax, without } of runs) {
  const verdict = simulate({
    seed,
    ...(eventsMax === undefined ? {} : { eventsMax }),
    ...(without === undefined ? {} : { without }),
  })
  if (verdict.outcome === 'held') continue
  console.log(`not ok 1 - seed ${seed} ${verdict.check}`)
  process.exit(1)
}
