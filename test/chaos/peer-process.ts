/** One manager as a process: its options as JSON in the first argument, one line of JSON on standard output once it is usable. */
import { createPeer, type PeerOptions } from '../../lib/index.js'
import { obeyClockJumps } from './shiftable-clock.js'

export interface Ready {
  readonly address: string
  readonly invite?: string | undefined
}

obeyClockJumps()
const peer = await createPeer(JSON.parse(process.argv[2] ?? '') as PeerOptions)
// Only the founder's is needed; one that comes back into a broken cluster may have none.
const invite = await peer.invite('manager', { deadlineMs: 1_000 }).catch(() => undefined)
const ready: Ready = { address: peer.address, invite }
process.stdout.write(`${JSON.stringify(ready)}\n`)
const error = await peer.ended
console.error(error)
process.exitCode = 1
