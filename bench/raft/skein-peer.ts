/** One raft peer with a key-value machine: a process of its own, told by its parent whom to link to. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { LinkPool } from '../../lib/overlay/transport/index.js'
import { systemClock, systemRandom } from '../../lib/peer/system-world.js'
import { RaftRunner, type RaftTransport } from '../../lib/raft/index.js'
import { Credentials, parseKeyString } from '../../lib/security/index.js'
import { Ballast } from './ballast.js'
import { KvMachine } from './kv-machine.js'
import { answerHeadBytes, frameSize, kinds, outcomes, requestHeadBytes } from './skein-target.js'
import { Cutter } from './target.js'

export interface PeerSetup {
  readonly id: number
  readonly dir: string
  /** All peers, this one too; `node` is the name on links. */
  readonly peers: readonly { readonly id: number; readonly node: string }[]
  /** Where it listens for links and for clients. */
  readonly host: string
  /** Port of the links; 0 the first time. */
  readonly linkPort: number
  /** Certificate and key for its links. */
  readonly key: string
}

export type PeerOrder =
  | { readonly type: 'link'; readonly addresses: Readonly<Record<string, string>> }
  | { readonly type: 'status'; readonly tag: number }
  /** Makes the state larger by so many bytes. */
  | { readonly type: 'grow'; readonly tag: number; readonly sizeBytes: number }
  | { readonly type: 'snapshot'; readonly tag: number }
  | { readonly type: 'propose'; readonly tag: number; readonly inFlight: number; readonly forMs: number }

export interface PeerStatus {
  readonly leads: boolean
  readonly term: number
  readonly appliedIndex: number
  readonly fsyncs: number
  readonly entriesWritten: number
  readonly snapshotsTaken: number
  readonly snapshotsInstalled: number
  /** On their way to others. */
  readonly snapshotsUnderWay: number
  readonly ticksMissed: number
}

export type PeerNews =
  | { readonly type: 'listening'; readonly links: string; readonly clientPort: number }
  | { readonly type: 'status'; readonly tag: number; readonly status: PeerStatus }
  | { readonly type: 'done'; readonly tag: number }
  | { readonly type: 'proposed'; readonly tag: number; readonly perSecond: number }

const clusterId = 'bench0000000'
const setup = JSON.parse(process.argv[2] ?? '') as PeerSetup
const nodeOf = new Map(setup.peers.map(({ id, node }) => [id, node]))
const idOf = new Map(setup.peers.map(({ id, node }) => [node, id]))
let runner: RaftRunner | undefined

const pool = await LinkPool.listen(
  {
    node: nodeOf.get(setup.id) as string,
    credentials: new Credentials(parseKeyString(setup.key), () => systemClock.wallMs()),
    admit: () => undefined,
    handlers: new Map([['raft.snapshot', takePiece]]),
    onRaftFrame: (from, frame) => runner?.receive(idOf.get(from) as number, frame),
  },
  { listen: `${setup.host}:${setup.linkPort}`, clock: systemClock, random: systemRandom },
)
pool.observe((event) => {
  if (event.type !== 'down' && event.type !== 'missed') return
  runner?.reportUnreachable(idOf.get(event.node) as number, event.evidence === 'refused' ? 'dead' : 'lost')
})
const transport: RaftTransport = {
  send: (to, frame) => pool.sendRaft(nodeOf.get(to) as string, frame),
  sendSnapshotPiece: async (to, piece, signal) =>
    (await pool.callBulk(nodeOf.get(to) as string, 'raft.snapshot', [setup.id, piece], { signal })) as Uint8Array,
}
const machine = new KvMachine()
runner = await RaftRunner.open({
  id: setup.id,
  clusterId,
  dir: setup.dir,
  bootstrap: { voters: setup.peers.map(({ id }) => id), votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  stateMachine: new Ballast(machine),
  transport,
  clock: systemClock,
  random: systemRandom,
  // As etcd's defaults for the same two things.
  snapshotEveryEntries: 100_000,
  trailingEntries: 5_000,
})
const { ended } = runner
void ended.then((error) => {
  if (error !== undefined) throw error
})

const port = createServer({ noDelay: true }, serve)
await new Promise<void>((resolve) => port.listen(0, setup.host, resolve))
tell({ type: 'listening', links: pool.address, clientPort: (port.address() as AddressInfo).port })

process.on('message', (order: PeerOrder) => void carryOut(order))
process.on('disconnect', () => process.exit()) // the benchmark is over, however it ended

async function takePiece(value: unknown): Promise<Uint8Array> {
  const [from, piece] = value as [number, Uint8Array]
  return await (runner as RaftRunner).receiveSnapshotPiece(from, piece)
}

async function carryOut(order: PeerOrder): Promise<void> {
  const raft = runner as RaftRunner
  switch (order.type) {
    case 'link':
      for (const [node, address] of Object.entries(order.addresses)) pool.keep(node, address)
      raft.start()
      return
    case 'status': {
      const { role, term, appliedIndex, transfers } = raft.status()
      const { fsyncs, entriesWritten, snapshotsTaken, snapshotsInstalled, ticksMissed } = raft.metrics()
      const snapshotsUnderWay = transfers.filter(({ direction }) => direction === 'out').length
      const counts = { fsyncs, entriesWritten, snapshotsTaken, snapshotsInstalled, snapshotsUnderWay, ticksMissed }
      tell({ type: 'status', tag: order.tag, status: { leads: role === 'leader', term, appliedIndex, ...counts } })
      return
    }
    case 'grow':
      for (const command of Ballast.grow(order.sizeBytes)) await raft.propose(command)
      tell({ type: 'done', tag: order.tag })
      return
    case 'snapshot':
      await raft.snapshot()
      tell({ type: 'done', tag: order.tag })
      return
    case 'propose':
      tell({ type: 'proposed', tag: order.tag, perSecond: await proposeFor(raft, order.inFlight, order.forMs) })
  }
}

/** Proposals from inside the leader's process, `inFlight` at a time; completed ones per second. */
async function proposeFor(raft: RaftRunner, inFlight: number, forMs: number): Promise<number> {
  let [done, isOver] = [0, false]
  const commands = Array.from({ length: 1000 }, (_, i) => {
    const key = `key-${i}`
    const command = Buffer.alloc(2 + key.length + 256, 'v')
    command.writeUInt16BE(key.length, 0)
    command.write(key, 2, 'latin1')
    return new Uint8Array(command)
  })
  const chain = async (start: number): Promise<void> => {
    for (let next = start; !isOver; next++) {
      await raft.propose(commands[next % commands.length] as Uint8Array)
      done++
    }
  }
  const chains = Promise.all(Array.from({ length: inFlight }, (_, i) => chain(i)))
  await new Promise((resolve) => setTimeout(resolve, forMs / 5))
  const [beganMs, before] = [performance.now(), done]
  await new Promise((resolve) => setTimeout(resolve, forMs))
  const perSecond = ((done - before) / (performance.now() - beganMs)) * 1000
  isOver = true
  await chains
  return perSecond
}

/** Clients of the benchmark: the protocol is in skein-target.ts. */
function serve(socket: Socket): void {
  const answers = new Answers(socket)
  const cutter = new Cutter(frameSize, (bytes, start, end) => {
    const raft = runner as RaftRunner
    const number = bytes.readUInt32BE(start + 4)
    const keyEnd = start + requestHeadBytes + bytes.readUInt16BE(start + 9)
    const refuse = (): void => answers.add(number, outcomes.refused)
    if (bytes[start + 8] === kinds.put) {
      // A view, not a copy: the chunk holds little else but commands, and the log packs what it keeps for long.
      const command = new Uint8Array(bytes.buffer, bytes.byteOffset + start + 9, end - start - 9)
      raft.propose(command).then(() => answers.add(number, outcomes.ok), refuse)
    } else {
      const key = bytes.toString('latin1', start + requestHeadBytes, keyEnd)
      raft.read().then(() => answers.add(number, outcomes.ok, machine.values.get(key)), refuse)
    }
  })
  socket.on('data', (chunk: Buffer) => cutter.add(chunk))
  socket.on('error', () => undefined) // a client that went away; `close` follows and there is nobody to tell
}

const noValue = new Uint8Array(0)

/** The answers of one turn of the event loop, in one chunk. */
class Answers {
  readonly #socket: Socket
  #bytes = Buffer.allocUnsafe(4096)
  #at = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  add(number: number, outcome: number, value: Uint8Array = noValue): void {
    const sizeBytes = answerHeadBytes + value.length
    if (this.#at === 0) process.nextTick(() => this.#flush()) // after the promises of this turn
    if (this.#at + sizeBytes > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(0, this.#at)], Math.max(this.#bytes.length * 2, this.#at + sizeBytes))
    }
    this.#bytes.writeUInt32BE(sizeBytes - 4, this.#at)
    this.#bytes.writeUInt32BE(number, this.#at + 4)
    this.#bytes[this.#at + 8] = outcome
    this.#bytes.set(value, this.#at + answerHeadBytes)
    this.#at += sizeBytes
  }

  #flush(): void {
    if (this.#socket.writable) this.#socket.write(this.#bytes.subarray(0, this.#at))
    this.#bytes = Buffer.allocUnsafe(Math.max(64, this.#at))
    this.#at = 0
  }
}

function tell(news: PeerNews): void {
  process.send?.(news)
}
