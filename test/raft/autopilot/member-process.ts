/** One peer with an autopilot as a process of its own, for a test that kills it: frames and requests travel over the channel to the parent. */
import { Raft } from '../../../lib/raft/index.js'
import { SumMachine } from '../raft-group.js'

export interface MemberOptions {
  readonly id: number
  readonly dir: string
  /** The first voters; others wait to be added. */
  readonly bootstrap?: readonly number[]
}

export type Ask =
  | { readonly type: 'frame'; readonly from: number; readonly frame: string }
  | { readonly type: 'add-learner'; readonly id: number }
  | { readonly type: 'add'; readonly add: number }

export type Tell =
  | { readonly type: 'frame'; readonly to: number; readonly frame: string }
  | { readonly type: 'members'; readonly voters: readonly number[]; readonly learners: readonly number[] }
  | { readonly type: 'leads'; readonly term: number }
  | { readonly type: 'answer'; readonly value: number }

const { id, dir, bootstrap } = JSON.parse(process.argv[2] ?? '') as MemberOptions
const tell = (message: Tell): void => void process.send?.(message)
const raft = await Raft.open({
  id,
  dir,
  ...(bootstrap && { bootstrap }),
  clusterId: 'autopilot',
  stateMachine: new SumMachine(),
  tickMs: 30,
  autopilot: { voters: 3, stableMs: 200, deadMs: 1_000 },
  transport: {
    send: (to, frame) => {
      tell({ type: 'frame', to, frame: Buffer.from(frame).toString('base64') })
      return true
    },
    sendSnapshotPiece: () => Promise.reject(new Error('no snapshots here')),
  },
})
raft.observe((event) => {
  if (event.type === 'conf') tell({ type: 'members', voters: event.conf.voters, learners: event.conf.learners })
  else if (event.role === 'leader') tell({ type: 'leads', term: event.term })
})

process.on('message', (message: Ask) => {
  switch (message.type) {
    case 'frame':
      raft.receive(message.from, Buffer.from(message.frame, 'base64'))
      return
    case 'add-learner':
      void raft.addLearner(message.id).then(() => tell({ type: 'answer', value: message.id }))
      return
    case 'add':
      void raft.apply({ add: message.add }).then((value) => tell({ type: 'answer', value }))
  }
})
process.on('disconnect', () => process.exit())
raft.start()
