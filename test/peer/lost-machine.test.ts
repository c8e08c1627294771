/** How long answers name a machine that is gone: endpoint rows under real membership. Everything of both, and all times, are virtual. */
import t from 'tap'
import type { PeerMembership } from '../../lib/peer/peer-membership.js'
import { NetworkTown, serviceA } from './network-town.js'
import { type Resident, Town } from './town.js'

const nodes = ['m1', 'm2', 'm3', 'w1', 'w2', 'w3', 'w4', 'w5']
/** From the moment a resolver's own membership gave the machine up. */
const cleanWithinMs = 500
/** The bar for the loss of a host among up to a hundred members, all of which know of it by then. */
const knownWithinMs = 6_500

/** Membership with the names that rows go by. */
function named(
  { membership }: Resident,
  residents: ReadonlyMap<string, Resident>,
): Pick<PeerMembership, 'member' | 'observe' | 'members'> {
  const names = new Map([...residents].map(([name, { node }]) => [node, name]))
  return {
    member: (name) => membership.member(residents.get(name)?.node ?? ''),
    observe: (changed) => membership.observe((node) => changed(names.get(node) ?? node)),
    members: () => membership.members().map((view) => ({ ...view, id: (names.get(view.id) ?? view.id) as typeof view.id })),
  }
}

t.test(
  'when a machine is lost and nobody refuses for it, every resolver is clean within 500 ms of its membership’s verdict (moby#35548)',
  async (t) => {
    const members = new Town(t)
    const rows = await NetworkTown.open(nodes, 1, members.clock)
    const residents = new Map<string, Resident>()
    for (const name of nodes) residents.set(name, await members.add({ role: name.startsWith('m') ? 'manager' : 'worker' }))
    const residentOf = (name: string): Resident => residents.get(name) as Resident
    await members.until(() => members.isOne(), 20_000)
    for (const name of nodes) rows.process(name).networks.followMembers(named(residentOf(name), residents))
    // On w1 two, so that it still belongs to the network when one has ended; on w5 none, so that it resolves nothing.
    const [lost, ended] = [await rows.runTask(serviceA, 1, 'w1'), await rows.runTask(serviceA, 2, 'w1')]
    const others = [await rows.runTask(serviceA, 3, 'w2'), await rows.runTask(serviceA, 4, 'w3')]
    others.push(await rows.runTask(serviceA, 5, 'w4'))
    const resolvers = nodes.filter((name) => name !== 'w1' && name !== 'w5')
    const says = (name: string): string => rows.shown(name, 'a-service').join()
    await members.until(() => resolvers.every((name) => says(name) === [lost, ended, ...others].join()), 5_000)
    // The word that takes one back is lost, and the machine with it.
    rows.loses = ({ from }) => from === 'w1'
    await rows.report(ended, 'failed')
    await members.pass(100)
    for (const name of resolvers) t.ok(says(name).includes(ended), `${name} has not heard that it ended`)

    members.cutOff(residentOf('w1'))
    rows.cutOff('w1')
    const lostMs = members.clock.now()
    const [knownMs, cleanMs] = [new Map<string, number>(), new Map<string, number>()]
    const lookOf = (name: string): boolean => {
      const nowMs = members.clock.now()
      const isKnown = residentOf(name).membership.member(residentOf('w1').node)?.state === 'failed'
      if (isKnown && !knownMs.has(name)) knownMs.set(name, nowMs)
      if (says(name) === others.join() && !cleanMs.has(name)) cleanMs.set(name, nowMs)
      return knownMs.has(name) && cleanMs.has(name)
    }
    // All of them at every step, also those after one that is not there yet.
    await members.until(() => resolvers.filter((name) => !lookOf(name)).length === 0, 60_000)
    for (const name of resolvers) {
      const tookMs = (cleanMs.get(name) ?? Number.NaN) - (knownMs.get(name) ?? Number.NaN)
      t.ok(tookMs >= 0 && tookMs <= cleanWithinMs, `${name}: clean ${tookMs} ms after its verdict`)
    }
    const allMs = Math.max(...cleanMs.values()) - lostMs
    t.ok(allMs <= knownWithinMs + cleanWithinMs, `all are clean ${allMs} ms after the loss`)
    await members.pass(10_000)
    for (const name of resolvers) t.equal(says(name), others.join(), `${name} does not get them back from another`)
  },
)
