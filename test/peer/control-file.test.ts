import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../lib/base/logger.js'
import { ControlFile } from '../../lib/peer/control-file.js'
import type { StateDir } from '../../lib/peer/state-dir.js'
import { formatKeyString, lifetimes, type OwnCertificate } from '../../lib/security/index.js'
import { TestAuthority } from '../../lib/testing/test-authority.js'
import { SetClock } from '../base/set-clock.js'

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000]

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test(
  'a control file that begins in the future is written again until a clock is put right, and not at every look',
  async (t) => {
    const authority = await TestAuthority.make()
    const startMs = Date.now()
    const clock = new SetClock({ wallStartMs: startMs })
    const path = t.testdir()
    let [issued, issuerAheadMs, last] = [0, 10 * dayMs, '']
    const file = new ControlFile({
      dir: { path } as StateDir,
      clock,
      logger: silentLogger,
      issue: async () => {
        issued++
        const issuedMs = startMs + clock.now() + issuerAheadMs
        const { own } = authority.credentials('app', 'member000001', { issuedMs }).state
        const key = { own: own as OwnCertificate, trust: authority.trust, addresses: ['here:1'] }
        last = formatKeyString(key)
        return key
      },
    })
    await file.start()
    t.ok(existsSync(join(path, 'control.json')))
    /** The disk has a time of its own: a look that comes before it has answered is one that finds nothing to do. */
    const look = async (): Promise<void> => {
      clock.advance(5_000)
      await turn()
    }
    for (let passed = 0; passed < 10 * minuteMs; passed += 5_000) await look()
    t.ok(issued > 1 && issued <= 11, `${issued} in ten minutes`)
    issuerAheadMs = 0
    const before = issued
    while (issued === before) await look()
    for (let passed = 0; passed < hourMs; passed += 5_000) await look()
    t.equal(issued, before + 1, `and then not before half of ${lifetimes.nodeMs / hourMs} hours is over`)
    while (!readFileSync(join(path, 'control.json'), 'utf8').includes(last)) await turn()
    await file.stop()
    t.notOk(existsSync(join(path, 'control.json')))
  },
)
