/** One peer as a process of its own, for tests that stop it: frames and requests travel over the channel to the parent. */
import type { Clock } from '../../lib/base/clock.js'
import { SkeinError } from '../../lib/base/errors.js'
import { Raft } from '../../lib/raft/index.js'
import { processClock } from '../../lib/raft/system.js'
import { SumMachine } from './raft-group.js'

export type Ask =
  | { readonly type: 'frame'; readonly from: number; readonly frame: string }
  | { readonly type: 'add'; readonly ask: number; readonly add: number }
  | { readonly type: 'read'; readonly ask: number; readonly consistency: 'lease' | 'linearizable'; readonly deadlineMs: number }
  /** Keeps the thread busy, and takes what comes after only then. */
  | { readonly type: 'stall'; readonly stallMs: number }

export type Tell =
  | { readonly type: 'frame'; readonly to: number; readonly frame: string }
  | { readonly type: 'role'; readonly leader: number; readonly term: number; readonly isLeader: boolean }
  | {
      readonly type: 'answer'
      readonly ask: number
      readonly value?: number
      readonly code?: string
      readonly term: number
      readonly readsByLease: number
    }

/** Time that stands still while the process does: what a lease must not be measured with. */
function dreamingClock(): Clock {
  let [dream, last] = [0, performance.now()]
  const wake = () => {
    const now = performance.now()
    dream += Math.min(now - last, 20)
    last = now
    return dream
  }
  setInterval(wake, 5).unref()
  return { ...processClock, now: wake, wallMs: wake }
}

const [id, ids, clockName] = [Number(process.argv[2]), (process.argv[3] ?? '').split(',').map(Number), process.argv[4]]
const tell = (message: Tell): void => void process.send?.(message)
const machine = new SumMachine()
const raft = await Raft.open({
  id,
  clusterId: 'lease',
  bootstrap: ids,
  stateMachine: machine,
  leaseReads: true,
  // Who sleeps finds the whole log when it wakes: no snapshot crosses here, however many writes there were.
  snapshotEveryEntries: 1e9,
  tickMs: 50,
  ...(clockName === 'dreaming' ? { clock: dreamingClock() } : {}),
  transport: {
    send: (to, frame) => {
      tell({ type: 'frame', to, frame: Buffer.from(frame).toString('base64') })
      return true
    },
    sendSnapshotPiece: async () => {
      throw new Error('no snapshots here')
    },
  },
})
raft.observe((event) => {
  if (event.type === 'role') tell({ type: 'role', leader: event.leader, term: event.term, isLeader: event.role === 'leader' })
})

async function answer(ask: number, work: Promise<number>): Promise<void> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ code: error instanceof SkeinError ? error.code : String(error) }),
  )
  tell({ type: 'answer', ask, ...outcome, term: raft.status().term, readsByLease: raft.metrics().readsByLease })
}

process.on('message', (message: Ask) => {
  switch (message.type) {
    case 'frame':
      raft.receive(message.from, Buffer.from(message.frame, 'base64'))
      return
    case 'add':
      void answer(message.ask, raft.apply({ add: message.add }))
      return
    case 'read': {
      const { ask, consistency, deadlineMs } = message
      void answer(
        ask,
        raft.read(() => machine.sum, { consistency, deadlineMs }),
      )
      return
    }
    case 'stall': {
      const until = performance.now() + message.stallMs
      while (performance.now() < until);
    }
  }
})
process.on('disconnect', () => process.exit())
raft.start()
