/** What a manager makes of workers' rows by what raft says of their nodes. */
import t from 'tap'
import { loadPeriodMs, managersScope } from '../../lib/api/worker-rows.js'
import { seededRandom } from '../../lib/base/random.js'
import { encodeGossip } from '../../lib/overlay/gossip/messages.js'
import { PeerGossip, type PeerGossipOptions } from '../../lib/peer/peer-gossip.js'
import { encode } from '../../lib/wire/index.js'
import { found, node, openHarness } from '../store/harness.js'

const [manager, worker] = ['manager00001', 'worker000001']

t.test(
  'what a node says of itself is known until it goes stale, hidden while the node is down, and refused once it is removed',
  async (t) => {
    const { store, clock, submit } = await openHarness()
    await submit(found, ...node(worker))
    let hear: (from: { readonly node: string; readonly role: 'worker' }, bytes: Uint8Array) => void = () => undefined
    const pool = {
      link: () => undefined,
      send: () => true,
      onMessage: (_channel: string, listener: typeof hear) => {
        hear = listener
      },
      observe: () => () => undefined,
    } as unknown as PeerGossipOptions['pool']
    const options = { node: manager, role: 'manager', epoch: 1, address: 'm:1', pool, clock, random: seededRandom(1) } as const
    await using gossip = new PeerGossip({ ...options, managers: () => [manager] })
    gossip.start()
    const unfollow = gossip.followStore(store, () => true)
    const say = (epoch: number, version: number, cpu: number): void => {
      const load = {
        count: version,
        cpu,
        memoryFreeBytes: 5,
        unreservedCpuNanos: 1,
        unreservedMemoryBytes: 1,
        tasks: 0,
        lagMs: 2,
      }
      const row = { table: 'load', key: '', version, value: encode(load) }
      const delta = { owner: worker, epoch, from: version - 1, to: version, gc: 0, max: version, reset: false, rows: [row] }
      hear({ node: worker, role: 'worker' }, encodeGossip({ type: 'deltas', scope: managersScope, deltas: [delta], push: true }))
    }
    const sayTask = (epoch: number, version: number, state: string): void => {
      const row = { table: 'tasks', key: 'service00001.1.1', version, value: encode({ state, message: '' }) }
      const delta = { owner: worker, epoch, from: version - 1, to: version, gc: 0, max: version, reset: false, rows: [row] }
      hear({ node: worker, role: 'worker' }, encodeGossip({ type: 'deltas', scope: managersScope, deltas: [delta], push: true }))
    }
    t.equal(gossip.loadOf(worker), undefined)
    say(1, 1, 0.5)
    t.same(gossip.loadOf(worker), { cpu: 0.5, memoryFreeBytes: 5, lagMs: 2 })
    // Its meter is dead; its tasks go on changing, and the same statement comes again.
    for (let version = 2; version <= 9; version++) {
      clock.advance(loadPeriodMs / 2)
      sayTask(1, version, version % 2 === 0 ? 'running' : 'starting')
    }
    t.equal(gossip.loadOf(worker), undefined, 'stale')
    t.same(
      [...gossip.tasks.rows()].map(({ owner, key }) => [owner, key]),
      [[worker, 'service00001.1.1']],
      'though it was heard',
    )
    say(1, 10, 0.6)
    t.match(gossip.loadOf(worker), { cpu: 0.6 })
    await submit({ op: 'node.status', id: worker, state: 'down', message: 'silent' })
    t.equal(gossip.loadOf(worker), undefined, 'down')
    await submit({ op: 'node.status', id: worker, state: 'ready', message: '' })
    t.match(gossip.loadOf(worker), { cpu: 0.6 }, 'and back')
    await submit({ op: 'node.remove', id: worker })
    say(9, 1, 0.7)
    t.equal(gossip.loadOf(worker), undefined, 'removed, whatever life it begins')
    t.equal(gossip.loadOf(manager), undefined)
    gossip.meterLoad({ reserved: () => ({ cpuNanos: 0, memoryBytes: 0, tasks: 0 }) })
    clock.advance(loadPeriodMs)
    t.match(gossip.loadOf(manager), { cpu: Number }, 'and its own')
    unfollow()
  },
)
