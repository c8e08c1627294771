/** Members as processes of their own in network namespaces, where packets are lost for real. */
import t from 'tap'
import { MemberGroup } from '../../bench/overlay/group.js'
import { stopInTurn, wait } from '../../bench/overlay/peace.js'
import { until } from '../../bench/raft/cluster.js'
import { type Cut, openNamespaces, whyNoNamespaces } from '../chaos/network.js'
import { filterPackets, whyNoPacketFilter } from '../chaos/packet-filter.js'

t.setTimeout(300_000)

const members = 5
const all = Array.from({ length: members }, (_, peer) => peer)

t.test('members whose packets are filtered', { skip: whyNoNamespaces() ?? whyNoPacketFilter() ?? false }, async (t) => {
  t.setTimeout(300_000)
  const network = await openNamespaces(members, () => undefined)
  t.teardown(() => network.close())
  const group = await MemberGroup.form({ members, network })
  t.teardown(() => group.stop())
  const failedSince = (start: number) => group.words.slice(start).filter(({ type }) => type === 'failed')

  await t.test('twenty seconds in which a fifth of all packets is lost kill nobody', async (t) => {
    const start = group.words.length
    await Promise.all(all.map((peer) => filterPackets(network, peer, { lossRate: 0.2 })))
    await wait(20_000)
    await Promise.all(all.map((peer) => filterPackets(network, peer, {})))
    t.strictSame(failedSince(start), [])
  })

  await t.test('one that hears nobody, and is heard, takes nobody with it, and is back when it hears again', async (t) => {
    const start = group.words.length
    const deaf = group.members[members - 1]?.node
    const accusersOf = (isMeant: (subject: string) => boolean): Set<string> =>
      new Set(failedSince(start).flatMap(({ observer, subject }) => (isMeant(subject) ? [observer] : [])))
    await network.cut?.(all.slice(0, -1).map((peer): Cut => [peer, members - 1]))
    // By then what it says of them was heard, and had as long to be believed.
    await until('all others have given it up', () => accusersOf((subject) => subject === deaf).size === members - 1)
    await network.cut?.([])
    await group.untilComplete()
    const others = accusersOf((subject) => subject !== deaf)
    others.delete(deaf ?? '')
    t.strictSame([...others], [], 'whatever it said of them')
  })

  await t.test('one that stands still for ten seconds is not dead', async (t) => {
    const start = group.words.length
    await stopInTurn(group, group.members.slice(1, 2), 10_000, 1000)
    await group.untilComplete()
    t.strictSame(failedSince(start), [])
  })

  await t.test('where datagrams are blocked all say so, watch over links, and find a death and a newcomer', async (t) => {
    const start = group.words.length
    await Promise.all(all.map((peer) => filterPackets(network, peer, { datagrams: 'drop' })))
    const streamOnly = async (): Promise<number> => {
      const counts = await Promise.all(group.members.map((member) => group.counts(member)))
      return counts.filter(({ isStreamOnly }) => isStreamOnly).length
    }
    // The last has nobody left to try by datagram.
    await until('all but one on streams only', async () => (await streamOnly()) >= members - 1)
    t.strictSame(failedSince(start), [])
    const victim = group.members[2]
    if (victim === undefined) throw new Error('no member 2')
    group.signal(victim, 'SIGKILL')
    const knowing = (): Set<string> => {
      const words = failedSince(start).filter(({ subject }) => subject === victim.node)
      return new Set(words.map(({ observer }) => observer))
    }
    await until('all know that it died', () => knowing().size === members - 1)
    await group.start(victim.number)
    await group.untilComplete()
    t.equal(failedSince(start).filter(({ subject }) => subject !== victim.node).length, 0)
  })
})
