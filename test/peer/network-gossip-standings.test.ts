/** What is kept of nodes that failed, left or were removed, while nodes come and go without end. */
import t, { type Test } from 'tap'
import { endpointTable, scopeOf } from '../../lib/api/endpoint-rows.js'
import { seededRandom } from '../../lib/base/random.js'
import type { NetworkRef } from '../../lib/model/network.js'
import { Gossip } from '../../lib/overlay/gossip/index.js'
import { encodeGossip } from '../../lib/overlay/gossip/messages.js'
import { NetworkGossip, type NetworkGossipOptions } from '../../lib/peer/network-gossip.js'
import type { PeerMembership } from '../../lib/peer/peer-membership.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'
import { encode } from '../../lib/wire/index.js'

const hourMs = 3_600_000
const [networkA, networkB, networkC] = ['a', 'b', 'c'].map((name) => ({ id: `network0000${name}`, name })) as [
  NetworkRef,
  NetworkRef,
  NetworkRef,
]

/** A worker on the network a, linked to nobody, that goes by what the test says of members. */
function worker(t: Test) {
  const clock = new ManualClock()
  const gossip = new Gossip({
    self: 'w1',
    epoch: 1,
    clock,
    random: seededRandom(1),
    send: () => true,
    accepts: () => true,
    timing: { flushMs: 10_000, syncMs: 60_000 },
  })
  const judged: string[] = []
  const standing = gossip.standing.bind(gossip)
  gossip.standing = (owner, ...rest) => {
    judged.push(owner)
    standing(owner, ...rest)
  }
  const pool = { link: () => undefined } as unknown as NetworkGossipOptions['pool'] // of a pool, what networks use
  const networks = new NetworkGossip({ node: 'w1', role: 'worker', gossip, pool, clock, managers: () => [] })
  const states = new Map<string, 'alive' | 'failed' | 'left'>()
  const observers = new Set<(node: string) => void>()
  const members: Pick<PeerMembership, 'member' | 'observe' | 'members'> = {
    member: (node) => {
      const state = states.get(node)
      return state && { state, accusers: 0, isRefused: false, sinceMs: 0, heardMs: 0 }
    },
    observe: (changed) => {
      observers.add(changed)
      return () => observers.delete(changed)
    },
    members: () => [],
  }
  networks.followMembers(members)
  networks.attach(networkA)
  gossip.start()
  t.teardown(async () => {
    networks.stop()
    await gossip.stop()
  })
  return {
    networks,
    is(node: string, state: 'alive' | 'failed' | 'left'): void {
      states.set(node, state)
      for (const observer of observers) observer(node)
    },
    /** As members do: nobody is told. */
    forget: (node: string) => states.delete(node),
    pass(ms: number): void {
      clock.advance(ms)
      networks.look()
    },
    /** Whom a network that is new here is told of. */
    judgedIn(network: NetworkRef): readonly string[] {
      judged.length = 0
      networks.attach(network)
      return judged
    },
    hear(owner: string, version: number): void {
      const value = encode({ serviceName: 's', host: 'h', ports: [], state: 'ready' })
      const row = { table: endpointTable, key: 'service0000a.1.1', version, value }
      const delta = { owner, epoch: 1, from: 0, to: version, gc: 0, max: version, reset: false, rows: [row] }
      gossip.receive('m1', encodeGossip({ type: 'deltas', scope: scopeOf(networkA), deltas: [delta], push: true }))
    },
    owners: () => [...networks.rows()].map(({ owner }) => owner),
  }
}

t.test('what was concluded of nodes that members forgot is forgotten too, once nothing is hidden for it', async (t) => {
  const w = worker(t)
  const nodes = (word: string) => Array.from({ length: 50 }, (_, number) => `${word}${number}`)
  for (const node of nodes('failed')) w.is(node, 'failed')
  for (const node of nodes('left')) w.is(node, 'left')
  w.is('known', 'failed')
  w.networks.remove(['removed'])
  for (const node of [...nodes('failed'), ...nodes('left')]) w.forget(node)
  w.pass(hourMs)
  t.same([...w.judgedIn(networkB)].sort(), ['known', 'removed', ...nodes('failed')].sort())
  w.pass(24 * hourMs)
  w.pass(2 * 60_000) // what the network b hid an hour later
  w.pass(hourMs)
  t.same([...w.judgedIn(networkC)].sort(), ['known', 'removed'])
})

t.test('a node that comes back after it was forgotten is heard in the very life that was dropped', async (t) => {
  const w = worker(t)
  for (const [node, state] of [
    ['w2', 'left'],
    ['w3', 'failed'],
  ] as const) {
    w.hear(node, 1)
    t.same(w.owners(), [node])
    w.is(node, state)
    t.same(w.owners(), [])
    w.pass(25 * hourMs)
    w.forget(node)
    w.pass(hourMs)
    w.hear(node, 2)
    t.same(w.owners(), [], 'what somebody else tells of it is not taken')
    w.is(node, 'alive')
    w.hear(node, 3)
    t.same(w.owners(), [node])
    w.is(node, 'left')
  }
})
