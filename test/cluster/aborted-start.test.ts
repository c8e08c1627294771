import t from 'tap'
import { createPeer, type PeerOptions } from '../../lib/index.js'
import { eventually, freshDir, quick } from './support.js'

/** What keeps this process alive besides tap: ports and timers. */
function held(): number {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCPServerWrap|UDPWrap|Timeout)$/.test(kind)).length
}

t.test(
  'a peer that is aborted at whatever moment of its start leaves no port and no timer behind',
  { timeout: 120_000 },
  async (t) => {
    const dir = freshDir(t)
    const manager = await createPeer({ name: 'm1', timing: quick })
    const worker = await createPeer({ name: 'w1', dir, timing: quick, join: await manager.invite('worker') })
    await worker.stop()
    await manager.stop()
    const starts: readonly PeerOptions[] = [{ dir }, { name: 'alone' }, { name: 'alone', dir: freshDir(t) }]
    const isAllGone = async (): Promise<boolean> => held() <= 1 // the wait of `eventually` itself
    await eventually('the first two are gone', isAllGone)
    let aborted = 0
    for (const options of starts) {
      for (const delayMs of [0, 4, 8, 15, 30, 60, 120]) {
        const over = new AbortController()
        const start = createPeer({ ...options, timing: quick, signal: over.signal })
        setTimeout(() => over.abort(), delayMs) // the moment that is tested
        await start.then(
          (peer) => peer.stop(), // it was quicker
          () => aborted++,
        )
        await eventually(`nothing is left after ${delayMs} ms`, isAllGone)
      }
    }
    t.ok(aborted > 7, `${aborted} of ${3 * 7} starts were aborted`)
  },
)
