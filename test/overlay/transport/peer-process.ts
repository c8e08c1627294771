/** A process that takes links, tells its address, and lives until it is killed. */
import { LinkPool } from '../../../lib/overlay/transport/index.js'
import { systemClock, systemRandom } from '../../../lib/peer/system-world.js'

const { SKEIN_TEST_NODE: node = '', SKEIN_TEST_CLUSTER: cluster, SKEIN_TEST_SECRET: manager = '' } = process.env

const pool = await LinkPool.listen(
  {
    node,
    role: () => 'manager',
    cluster: () => cluster,
    secrets: () => ({ manager }),
    admit: () => undefined,
    handlers: new Map(),
    onRaftFrame: () => undefined,
  },
  { listen: '127.0.0.1:0', clock: systemClock, random: systemRandom },
)
process.stdout.write(`${pool.address}\n`)
