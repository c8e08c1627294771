/** A process that takes links, tells its address, and lives until it is killed. */
import { LinkPool } from '../../../lib/overlay/transport/index.js'
import { systemClock, systemRandom } from '../../../lib/peer/system-world.js'
import { Credentials, parseKeyString } from '../../../lib/security/index.js'

const { SKEIN_TEST_NODE: node = '', SKEIN_TEST_KEY = '' } = process.env
const { own, trust } = parseKeyString(SKEIN_TEST_KEY)

const pool = await LinkPool.listen(
  {
    node,
    credentials: new Credentials({ own, trust }, () => systemClock.wallMs()),
    admit: () => undefined,
    handlers: new Map(),
    onRaftFrame: () => undefined,
  },
  { listen: '127.0.0.1:0', clock: systemClock, random: systemRandom },
)
process.stdout.write(`${pool.address}\n`)
