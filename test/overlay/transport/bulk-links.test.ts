import t from 'tap'
import type { LinkEvent } from '../../../lib/overlay/transport/index.js'
import { eventOf, makeHost, networks, Pools } from './support.js'

for (const network of networks()) {
  t.test(network.name, async (t) => {
    t.test('what is called in bulk has a link of its own, which takes the place of none', async (t) => {
      const pools = new Pools(t, network)
      const seen: unknown[] = []
      const serverHost = makeHost({
        handlers: {
          'raft.snapshot': async (value, { identity }) => {
            seen.push(identity.node)
            return (value as Uint8Array).length
          },
        },
      })
      const clientHost = makeHost()
      const server = await pools.listen('server', serverHost)
      const client = pools.client('client', clientHost)
      const up = eventOf(server, 'up')
      client.keep(serverHost.node, server.address)
      await up
      const news: LinkEvent[] = []
      server.observe((event) => news.push(event))
      const first = client.link(serverHost.node)
      const sizes = await Promise.all(
        [1, 2, 3].map((i) => client.callBulk(serverHost.node, 'raft.snapshot', new Uint8Array(i * 200_000))),
      )
      t.strictSame(sizes, [200_000, 400_000, 600_000])
      t.strictSame(seen, [clientHost.node, clientHost.node, clientHost.node])
      t.equal(client.link(serverHost.node), first, 'the first link is the one for everything else')
      t.ok(first?.isUp)
      t.strictSame(news, [], 'nobody is told of a second link')

      first?.close('over')
      t.equal(await client.callBulk(serverHost.node, 'raft.snapshot', new Uint8Array(5)), 5, 'it does not need the first')
    })

    t.test('a peer that dialled us has no address we know: what is called in bulk shares its link', async (t) => {
      const pools = new Pools(t, network)
      const [serverHost, clientHost] = [makeHost(), makeHost({ handlers: { 'raft.snapshot': async () => 'here' } })]
      const server = await pools.listen('server', serverHost)
      const up = eventOf(server, 'up')
      await pools.client('client', clientHost).dial(server.address)
      await up
      t.equal(await server.callBulk(clientHost.node, 'raft.snapshot', null), 'here')
    })

    t.test('without an address to dial, and after the end, a call in bulk is refused', async (t) => {
      const pools = new Pools(t, network)
      const client = pools.client('client', makeHost())
      await t.rejects(client.callBulk('nobody000000', 'raft.snapshot', null), { code: 'ERR_SKEIN_UNREACHABLE' })
      const [server, other] = [makeHost(), makeHost()]
      const { address } = await pools.listen('server', server)
      client.keep(other.node, address)
      await t.rejects(
        client.callBulk(other.node, 'raft.snapshot', null),
        { code: 'ERR_SKEIN_UNREACHABLE' },
        'somebody else lives there',
      )
      client.keep(server.node, address)
      await t.rejects(client.callBulk(server.node, 'raft.snapshot', null), { code: /ERR_SKEIN/ })
      await client.stop()
      await t.rejects(client.callBulk(server.node, 'raft.snapshot', null), { code: 'ERR_SKEIN_STOPPED' })
    })
  })
}
