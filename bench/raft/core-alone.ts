/** The core without disk, network or state machine: three replicas in one thread, proposals in, committed entries out. A process of its own. */
import { APPEND_THREAD, APPLY_THREAD, MemoryStorage, type Message, RawNode } from '../../lib/raft/index.js'
import { valueBytes } from './target.js'

export interface CoreResult {
  readonly perSecond: number
}

const proposalsAtOnce = 256
const [forMs = 2000] = process.argv.slice(2).map(Number)
const ids = [1, 2, 3]
const conf = { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }

interface Replica {
  readonly id: number
  readonly node: RawNode
  readonly storage: MemoryStorage
  applied: number
}

const replicas = ids.map((id): Replica => {
  const storage = new MemoryStorage({ snapshot: { index: 1, term: 1, confState: conf, data: new Uint8Array(0) } })
  const node = new RawNode({
    id,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    asyncStorageWrites: true,
    checkQuorum: true,
    preVote: true,
  })
  return { id, node, storage, applied: 1 }
})
const inbox: Message[] = []

/** Carries out what the replicas want until nobody wants anything. The "disk" is the storage in memory. */
function settle(): void {
  let isBusy = true
  while (isBusy) {
    isBusy = false
    for (const replica of replicas) {
      while (replica.node.hasReady()) {
        isBusy = true
        for (const message of replica.node.ready().messages) carryOut(replica, message)
      }
    }
    for (const message of inbox.splice(0)) {
      isBusy = true
      replicas[message.to - 1]?.node.step(message)
    }
  }
}

function carryOut({ node, storage, id }: Replica, message: Message): void {
  if (message.to === APPEND_THREAD) {
    if (message.term > 0) storage.setHardState(message)
    storage.append(message.entries)
  } else if (message.to === APPLY_THREAD) {
    const replica = replicas[id - 1] as Replica
    replica.applied = message.entries.at(-1)?.index ?? replica.applied
  } else {
    inbox.push(message)
    return
  }
  for (const response of message.responses) {
    if (response.to === id) node.step(response)
    else inbox.push(response)
  }
}

function compact({ storage, applied }: Replica): void {
  storage.setSnapshot({ index: applied, term: storage.term(applied), confState: conf, data: new Uint8Array(0) })
  storage.compact(applied - 1000)
}

const leader = replicas[0] as Replica
leader.node.campaign()
settle()
const value = new Uint8Array(valueBytes).fill(118)

function commitFor(ms: number): number {
  const [beganMs, before] = [performance.now(), leader.applied]
  let elapsedMs = 0
  for (let round = 1; elapsedMs < ms; round++) {
    for (let i = 0; i < proposalsAtOnce; i++) leader.node.propose(value)
    settle()
    if (round % 50 === 0) for (const replica of replicas) compact(replica)
    elapsedMs = performance.now() - beganMs
  }
  if (replicas.some(({ applied }) => applied < leader.applied - proposalsAtOnce)) throw new Error('a replica fell behind')
  return ((leader.applied - before) / elapsedMs) * 1000
}

commitFor(forMs / 4)
const result: CoreResult = { perSecond: commitFor(forMs) }
process.stdout.write(`${JSON.stringify(result)}\n`)
