import { assert } from '../base/assert.js'
import { below, type Random } from '../base/random.js'
import { decodeConfChange } from '../raft/core/conf-change.js'
import { isRaftError } from '../raft/core/errors.js'
import { checkInvariants } from '../raft/core/invariants.js'
import type { Message } from '../raft/core/messages.js'
import { RawNode } from '../raft/core/raw-node.js'
import {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfState,
  type Entry,
  type RaftId,
  type Ready,
  type Snapshot,
} from '../raft/core/state.js'
import { Succession } from '../raft/core/succession.js'
import { configText, membersOf } from './configurations.js'
import type { NodeView } from './node-view.js'
import { SimClock } from './sim-clock.js'
import { type Damage, type DiskWrite, SimDisk } from './sim-disk.js'
import { chanceFor, TICK } from './sim-plan.js'
import type { SimCore, SimCoreConfig, SimWorld } from './sim-world.js'
import { describeMessage } from './trace.js'

/** The state machine: a hash over everything applied, and the configuration that holds there. Lost in a crash, as memory is. */
interface App {
  applied: number
  appliedTerm: number
  hash: number
  config: ConfState
}

/** Chance concerns from here on belong to nodes: one for the node, one for each life of its core. */
const NODE_CONCERN = 1_000
const READIES_MAX = 10_000
/** Its faults have chance of their own, so that a node without them lives as it would. */
const FAULTS_CONCERN = 999
/** After that many time units a node that lies takes a write for done. */
const PATIENCE = 60
/** Time units between the turns of those who would take the place of a dead leader. */
const STAGGER = 8
/** Time units between a failed sync and the restart. */
const RESTART_PAUSE = 50

/**
 * A runner for one core against the simulated disk and network. It keeps the order that a real runner must keep: hard state,
 * snapshot and entries before the answers that promise on them; snapshot before entries; overtaken entries are never applied.
 */
export class SimNode {
  readonly id: RaftId
  readonly disk: SimDisk
  readonly view: NodeView
  /** Until then nothing that is due here happens. */
  pausedUntil = 0
  readonly #world: SimWorld
  readonly #random: Random
  #life = 0
  #core: SimCore | undefined
  #succession: Succession | undefined
  #app: App
  #applyQueue: Message[] = []
  /** What waits for a write to become durable. */
  readonly #unanswered = new Set<readonly Message[]>()
  #isFlushDue = false
  #isDoomed = false
  /** Time units of a tick by this node's own clock. */
  #tickLength: number
  readonly #clock: SimClock
  /** Reads that wait for what was committed when they were asked to be applied. */
  #leaseReads: { readonly request: number; readonly index: number }[] = []
  /** The snapshot that is on its way to the disk; entries up to it are not applied any more. */
  #restoringIndex = 0

  constructor(id: RaftId, world: SimWorld, boot: Snapshot | undefined) {
    this.id = id
    this.#world = world
    this.#random = chanceFor(world.plan.seed, NODE_CONCERN * id)
    const faults = chanceFor(world.plan.seed, NODE_CONCERN * id + FAULTS_CONCERN)
    this.disk = new SimDisk(world.plan.disk, this.#random, faults)
    const tickLength = TICK * (1 + (faults() * 2 - 1) * world.plan.skewMax)
    this.#tickLength = world.hooks.tickLength?.(tickLength, id) ?? tickLength
    this.#clock = new SimClock(TICK / this.#tickLength, world.now)
    if (boot !== undefined) {
      this.disk.writeNow({
        hardState: { term: boot.term, vote: 0, commit: boot.index },
        snapshot: boot,
        entries: [],
        responses: [],
      })
    }
    this.view = world.checks.watch(id, this.disk)
    this.#app = appOf(this.disk.storage.snapshot())
  }

  get isUp(): boolean {
    return this.#core !== undefined
  }
  get life(): number {
    return this.#life
  }
  get applied(): number {
    return this.#app.applied
  }
  get config(): ConfState {
    return this.#app.config
  }
  /** True once it has refused its log: it never runs again, and its id is never used again. */
  get isRetired(): boolean {
    return this.view.isRetired
  }
  get leader(): RaftId {
    return this.#core?.basicStatus().lead ?? 0
  }

  /** Starts, or starts again, from what the disk kept. */
  start(): void {
    assert(this.#core === undefined, 'only a stopped node starts')
    assert(!this.isRetired, 'a node that lost its log stays away')
    const { hooks, plan } = this.#world
    const storage = this.disk.storage
    this.#life++
    this.#app = appOf(storage.snapshot())
    this.view.restart()
    const random = chanceFor(plan.seed, NODE_CONCERN * this.id + this.#life)
    const createCore = hooks.createCore ?? ((config: SimCoreConfig) => new RawNode(config))
    this.#core = createCore({ ...plan.core, id: this.id, storage, applied: this.#app.applied, random })
    this.#succession = new Succession(this.#core)
    this.#world.after(this.#random() * 10, { type: 'tick', node: this.id, life: this.#life })
    this.#flush(this.#core)
  }

  crash(): void {
    const { hooks } = this.#world
    this.#core = undefined
    this.#applyQueue = []
    this.#leaseReads = []
    this.#unanswered.clear()
    this.#isFlushDue = false
    this.#isDoomed = false
    this.#restoringIndex = 0
    this.disk.crash((start) => hooks.found?.(start, this.id) ?? start)
    this.view.crash()
    this.#world.died(this.id)
  }

  /** Refuses its log for good; false when it reads it all the same. */
  retire(damage: Damage): boolean {
    let isRead = false
    this.disk.rewrite((start) => {
      const read = this.#world.hooks.readDamaged?.(start, damage, this.id)
      isRead = read !== undefined
      return read ?? start
    })
    if (!isRead) this.#world.checks.retires(this.view)
    return !isRead
  }

  /** Wakes and counts the ticks it slept through before it reads what waited for it. */
  wake(ticks: number): void {
    this.pausedUntil = 0
    for (let count = 0; count < ticks; count++) this.act((core) => core.tick())
  }

  /** Nothing happens here until then; `machine` stops a clock, too. */
  pause(until: number, what: 'process' | 'machine'): void {
    this.pausedUntil = until
    if (what === 'machine') this.#clock.suspend(this.#world.now, until)
  }

  /** A client reads by the lease, or like others if there is none. */
  readByLease(request: number): void {
    const core = this.#core
    if (core === undefined) return
    const index = core.leaseIndex(this.#clock.at(this.#world.now))
    if (index === undefined) this.act(() => core.readIndex(numberToBytes(request, 4)))
    else {
      this.#leaseReads.push({ request, index })
      this.#answerLeaseReads(core)
      this.#settle(core)
    }
  }

  /** Is told that the process of another node is dead. */
  refused(by: RaftId): void {
    if (this.#world.hooks.evidence === 'ignored') return
    this.act(() => {
      const turn = this.#succession?.dead(by)
      if (turn === undefined) return
      this.#world.after(turn * STAGGER, { type: 'turn', node: this.id, life: this.#life })
    })
  }

  turn(): void {
    this.act(() => this.#succession?.turn())
  }

  /** From now on a fast disk, and no more accidents. */
  calm(): void {
    this.pausedUntil = 0
    this.#clock.go(this.#world.now, 1)
    this.#tickLength = TICK
    this.disk.calm(this.#world.plan.disk)
    if (this.isRetired) return
    if (this.#isDoomed) this.crash()
    if (!this.isUp) this.start()
  }

  /** Looks inside: at what the core claims of itself, and at the followers as it sees them if it leads. */
  inspect(): void {
    const isOurs = this.#world.hooks.createCore === undefined // a core that lies shall be found out by what it does
    if (isOurs && this.#core instanceof RawNode) checkInvariants(this.#core)
    if (this.#core === undefined || !this.view.isLeader || this.#isFlushDue) return
    for (const [id, { match, next }] of this.#core.status().progress) this.#world.checks.progress(this.view, id, match, next)
  }

  /** Crashes in the middle of the next Ready where storage is synchronous, at once otherwise: there every event is such a middle. */
  doom(): void {
    if (this.#world.plan.core.asyncStorageWrites) this.crash()
    else this.#isDoomed = true
  }

  /** Gives the core one input; documented refusals are fine. */
  act(input: (core: SimCore) => void): void {
    const core = this.#core
    if (core === undefined) return
    this.#feed(core, input)
    this.#settle(core)
  }

  tick(): void {
    const { plan } = this.#world
    // Where ticks are promised to last, timers are late but never early.
    const drift = plan.core.votePromise > 0 ? this.#random() : this.#random() * 2 - 1
    this.#world.after(this.#tickLength + drift * plan.driftMax, {
      type: 'tick',
      node: this.id,
      life: this.#life,
    })
    this.act((core) => core.tick())
  }

  /** Takes what was put off. */
  flush(): void {
    if (this.#core !== undefined) this.#flush(this.#core)
  }

  /** Takes a snapshot of the state machine and drops the entries it has, but for the trailing ones. */
  snapshot(): void {
    const { applied, appliedTerm, config, hash } = this.#app
    if (this.#core === undefined || applied <= this.disk.storage.snapshot().index) return
    const mark = { index: applied, term: appliedTerm, confState: config, data: hashToBytes(hash) }
    this.#write({ mark, entries: [], responses: [] })
  }

  /** A sync has ended: everything in it is durable, so its answers may leave. */
  synced(): void {
    const core = this.#core
    if (core === undefined) return
    const isFailing = this.disk.isSyncFailing()
    if (isFailing && this.#world.hooks.syncFailure !== 'goes-unnoticed') {
      this.#stop()
      return
    }
    const { durable, nextDelay } = isFailing ? this.disk.finishInVain() : this.disk.finish()
    if (nextDelay !== undefined) this.#world.after(nextDelay, { type: 'synced', node: this.id, life: this.#life })
    this.#world.checks.synced(this.view)
    for (const record of durable) {
      if (record.snapshot !== undefined) this.#restore(record.snapshot)
      if (record.mark !== undefined) this.disk.compact(record.mark.index - this.#world.plan.trailingEntries)
      if (this.#unanswered.delete(record.responses)) this.#answer(core, record.responses)
    }
    this.#settle(core)
  }

  /** It has waited long enough for its disk: to it the write is done. */
  impatient(responses: readonly Message[]): void {
    if (this.#core === undefined || !this.#unanswered.delete(responses)) return
    this.#answer(this.#core, responses)
    this.#settle(this.#core)
  }

  /** The applier has finished one batch. */
  appliedOne(): void {
    const core = this.#core
    if (core === undefined) return
    this.#flush(core) // a snapshot the core has already taken overtakes this batch
    const work = this.#applyQueue.shift()
    assert(work !== undefined, 'the applier ends only what it began')
    this.#apply(core, work.entries)
    this.#answer(core, work.responses)
    if (this.#applyQueue.length > 0) this.#scheduleApply()
    this.#settle(core)
  }

  #feed(core: SimCore, input: (core: SimCore) => void): void {
    try {
      input(core)
    } catch (error) {
      if (!isRaftError(error, 'ERR_PROPOSAL_DROPPED') && !isRaftError(error, 'ERR_STEP_PEER_NOT_FOUND')) throw error
      this.#world.trace?.(`      ${this.id} refuses: ${error.message}`)
    }
  }

  #settle(core: SimCore): void {
    const { lateFlushRate } = this.#world.plan
    if (lateFlushRate > 0 && this.#random() < lateFlushRate) {
      if (this.view.isLeader) this.#world.checks.commit(this.view, core.basicStatus().commit, this.#app.config)
      if (this.#isFlushDue) return
      this.#isFlushDue = true
      this.#world.after(this.#random() * 8, { type: 'flush', node: this.id, life: this.#life })
    } else this.#flush(core)
  }

  #flush(core: SimCore): void {
    this.#isFlushDue = false
    for (let count = 0; core.hasReady(); count++) {
      assert(count < READIES_MAX, 'a core comes to rest')
      const ready = core.ready()
      if (this.#world.plan.core.votePromise > 0) core.heartbeatsLeave(this.#clock.at(this.#world.now))
      this.#world.checks.ready(this.view, ready, this.#app.config)
      if (this.#isDoomed) {
        this.#crashInside(ready)
        return
      }
      for (const { index, requestCtx } of ready.readStates) {
        this.#world.checks.readAnswered(this.view, bytesToNumber(requestCtx), index)
      }
      if (this.#world.plan.core.asyncStorageWrites) this.#handOut(core, ready)
      else if (!this.#carryOut(core, ready)) return
    }
  }

  /** A sync has failed. What it left nobody knows, so the node ends; its operator starts it again. */
  #stop(): void {
    this.#world.trace?.(`      ${this.id} stops: a sync failed`)
    this.crash()
    this.#world.after(RESTART_PAUSE, { type: 'restart', node: this.id })
  }

  /** With asynchronous storage: every message to its queue; storage answers by itself. */
  #handOut(core: SimCore, ready: Ready): void {
    for (const message of ready.messages) {
      if (message.to === APPEND_THREAD) this.#append(core, message)
      else if (message.to === APPLY_THREAD) {
        this.#applyQueue.push(message)
        if (this.#applyQueue.length === 1) this.#scheduleApply()
      } else this.#send(message)
    }
  }

  /** With synchronous storage: persist, send, apply, advance. False when the node ended. */
  #carryOut(core: SimCore, ready: Ready): boolean {
    const isFailing = this.disk.isSyncFailing()
    if (isFailing && this.#world.hooks.syncFailure !== 'goes-unnoticed') {
      this.disk.tear([recordOf(ready)])
      this.#stop()
      return false
    }
    if (!isFailing) this.disk.writeNow(recordOf(ready))
    this.#world.checks.synced(this.view)
    if (hasSnapshot(ready.snapshot)) this.#restore(ready.snapshot)
    for (const message of ready.messages) this.#send(message)
    this.#apply(core, ready.committedEntries)
    core.advance()
    return true
  }

  /** The power goes at a random place of `#carryOut`. */
  #crashInside(ready: Ready): void {
    const place = below(this.#random, 4)
    this.#world.trace?.(`      ${this.id} dies inside a Ready, place ${place}`)
    if (place === 1) this.disk.tear([recordOf(ready)])
    if (place >= 2) {
      this.disk.writeNow(recordOf(ready))
      this.#world.checks.synced(this.view)
      const sent = place === 2 ? below(this.#random, ready.messages.length + 1) : ready.messages.length
      for (const message of ready.messages.slice(0, sent)) this.#send(message)
    }
    this.crash()
  }

  #append(core: SimCore, { term, vote, commit, entries, snapshot, responses }: Message): void {
    const hardState = term === 0 && vote === 0 && commit === 0 ? undefined : { term, vote, commit }
    if (hasSnapshot(snapshot)) this.#restoringIndex = snapshot.index
    this.#write({ hardState, snapshot: hasSnapshot(snapshot) ? snapshot : undefined, entries, responses })
    const { diskAnswers } = this.#world.hooks
    if (diskAnswers === 'at-once') {
      this.#answer(core, responses)
      return
    }
    this.#unanswered.add(responses)
    if (diskAnswers === 'after-a-while') {
      this.#world.after(PATIENCE, { type: 'impatient', node: this.id, life: this.#life, responses })
    }
  }

  #write(record: DiskWrite): void {
    if (this.#world.plan.core.asyncStorageWrites) {
      const delay = this.disk.write(record)
      if (delay !== undefined) this.#world.after(delay, { type: 'synced', node: this.id, life: this.#life })
    } else {
      this.disk.writeNow(record)
      if (record.mark !== undefined) this.disk.compact(record.mark.index - this.#world.plan.trailingEntries)
    }
  }

  #scheduleApply(): void {
    const delay = -Math.log(1 - this.#random()) * this.#world.plan.disk.applyMean
    this.#world.after(delay, { type: 'applied', node: this.id, life: this.#life })
  }

  #answer(core: SimCore, responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to !== this.id) this.#send(response)
      else {
        this.#world.checks.sends(this.view, response)
        this.#feed(core, () => core.step(response))
      }
    }
  }

  #send(message: Message): void {
    const { snapshot, to } = message
    if (snapshot !== null && !membersOf(snapshot.confState).includes(to)) {
      // Older than the receiver's membership, so of no use to it: the leader needs a fresh one.
      this.snapshot()
      this.#world.after(1, { type: 'snapshot-sent', node: this.id, to, arrived: false })
      return
    }
    this.#world.checks.sends(this.view, message)
    this.#world.trace?.(`      ${describeMessage(message)}`)
    this.#world.post(this.id, message)
  }

  #restore(snapshot: Snapshot): void {
    if (this.#restoringIndex <= snapshot.index) this.#restoringIndex = 0
    this.#app = appOf(snapshot)
    this.#world.trace?.(`      ${this.id} restores a snapshot at ${snapshot.index} ${configText(snapshot.confState)}`)
    this.#world.checks.restores(this.view, snapshot, this.#app.hash)
  }

  #apply(core: SimCore, entries: readonly Entry[]): void {
    const { checks, hooks } = this.#world
    for (const original of entries) {
      if (original.index <= this.#app.applied || original.index <= this.#restoringIndex) continue // overtaken by a snapshot
      const entry = hooks.apply === undefined ? original : hooks.apply(original, this.id)
      if (entry === undefined) continue
      this.#app.hash = hashOf(this.#app.hash, entry)
      this.#app.applied = entry.index
      this.#app.appliedTerm = entry.term
      checks.applies(this.view, entry, this.#app.hash)
      if (entry.type !== 'EntryNormal') this.#reconfigure(core, entry)
    }
    this.#answerLeaseReads(core)
  }

  /** Those for which enough is applied: by the lease if it still holds, else they ask like others. */
  #answerLeaseReads(core: SimCore): void {
    if (this.#leaseReads.length === 0) return
    const due = this.#leaseReads.filter(({ index }) => index <= this.#app.applied)
    this.#leaseReads = this.#leaseReads.filter(({ index }) => index > this.#app.applied)
    for (const { request, index } of due) {
      if (core.leaseIndex(this.#clock.at(this.#world.now)) === undefined) {
        this.#feed(core, () => core.readIndex(numberToBytes(request, 4)))
      } else this.#world.checks.readByLease(this.view, request, index)
    }
  }

  #reconfigure(core: SimCore, entry: Entry): void {
    const { checks } = this.#world
    try {
      this.#app.config = core.applyConfChange(decodeConfChange(entry), entry.index)
    } catch (error) {
      // Illegal in the configuration it met: every node refuses it alike, because every node meets the same one.
      if (!isRaftError(error, 'ERR_CONF_CHANGE')) throw error
    }
    this.#world.trace?.(`      ${this.id} has ${configText(this.#app.config)} from ${entry.index}`)
    checks.configured(this.view, entry.index, this.#app.config)
    if (this.view.isLeader) checks.commit(this.view, core.basicStatus().commit, this.#app.config)
  }
}

/** A snapshot that holds the first configuration; every simulated group starts from it. */
export function bootSnapshot(index: number, voters: readonly RaftId[]): Snapshot {
  const confState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }
  return { index, term: 1, confState, data: hashToBytes(0) }
}

function appOf({ index, term, confState, data }: Snapshot): App {
  return { applied: index, appliedTerm: term, hash: data.length === 0 ? 0 : bytesToNumber(data), config: confState }
}

function recordOf({ hardState, snapshot, entries }: Ready): DiskWrite {
  return { hardState, snapshot: hasSnapshot(snapshot) ? snapshot : undefined, entries, responses: [] }
}

function hasSnapshot(snapshot: Snapshot | null | undefined): snapshot is Snapshot {
  return snapshot !== null && snapshot !== undefined && snapshot.index > 0
}

/** FNV-1a over term, index and data, chained. */
function hashOf(seed: number, { term, index, data }: Entry): number {
  let hash = seed ^ 0x811c9dc5
  hash = Math.imul(hash ^ term, 0x01000193)
  hash = Math.imul(hash ^ index, 0x01000193)
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

function hashToBytes(hash: number): Uint8Array {
  return numberToBytes(hash, 4)
}

/** Big-endian in the first four of `sizeBytes` bytes. */
export function numberToBytes(value: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes)
  for (let at = 0; at < 4; at++) bytes[at] = (value >>> (24 - 8 * at)) & 0xff
  return bytes
}

function bytesToNumber(bytes: Uint8Array): number {
  let value = 0
  for (let at = 0; at < 4; at++) value = value * 256 + (bytes[at] ?? 0)
  return value
}
