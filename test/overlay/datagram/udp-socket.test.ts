import { networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { type DatagramSocket, UdpSocket } from '../../../lib/overlay/datagram/index.js'

const hasSix = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
const skip = hasSix ? false : 'this machine has no IPv6'

async function bind(t: Test, address: string): Promise<DatagramSocket> {
  const socket = await UdpSocket.bind(address)
  t.teardown(() => socket.close())
  return socket
}

/** Sends until one arrives, as a name is known only after its first packet, and tells from where and what. */
async function exchange(from: DatagramSocket, to: string, at: DatagramSocket): Promise<{ from: string; text: string }> {
  const arrived = new Promise<{ from: string; text: string }>((resolve) =>
    at.open((from, bytes) => resolve({ from, text: Buffer.from(bytes).toString() })),
  )
  const again = setInterval(() => from.send(to, Buffer.from(`to ${to}`)), 10)
  try {
    return await arrived
  } finally {
    clearInterval(again)
  }
}

const portOf = ({ address }: DatagramSocket): string => address.slice(address.lastIndexOf(':') + 1)

t.test('a socket for all addresses sends to IPv4, to IPv6 and to names', { skip }, async (t) => {
  for (const [listen, host] of [
    ['127.0.0.1:0', '127.0.0.1'],
    ['[::1]:0', '[::1]'],
    ['127.0.0.1:0', '[::ffff:127.0.0.1]'],
    ['[::]:0', '127.0.0.1'],
    ['[::]:0', 'localhost'],
  ] as const) {
    const all = await bind(t, '[::]:0')
    const other = await bind(t, listen)
    const to = `${host}:${portOf(other)}`
    const { from, text } = await exchange(all, to, other)
    t.equal(text, `to ${to}`)
    const isFour = !text.includes('[::1]') && !from.startsWith('[')
    t.ok(isFour ? from === `127.0.0.1:${portOf(all)}` : from === `[::1]:${portOf(all)}`, `from ${from}`)
    t.equal(all.localFaults > 0, host === 'localhost', 'only a name has to be found first')
  }
})

t.test('what came over IPv4 is told as such, and can be answered there, by a socket for all addresses', { skip }, async (t) => {
  const all = await bind(t, '[::]:0')
  const four = await bind(t, '127.0.0.1:0')
  const asked = await exchange(four, `127.0.0.1:${portOf(all)}`, all)
  t.equal(asked.from, four.address)
  const answered = await exchange(all, asked.from, four)
  t.equal(answered.from, `127.0.0.1:${portOf(all)}`)
})

t.test('a socket says of an address of the other family that it does not reach it', { skip }, async (t) => {
  const bytes = Buffer.from('hello?')
  const four = await bind(t, '127.0.0.1:0')
  const six = await bind(t, '[::1]:0')
  t.notOk(four.send(six.address, bytes))
  t.notOk(six.send(four.address, bytes))
  t.notOk(six.send(`[::ffff:127.0.0.1]:${portOf(four)}`, bytes))
  t.same([four.localFaults, six.localFaults], [1, 2])
  t.ok(four.send(`[::ffff:127.0.0.1]:${portOf(four)}`, bytes), 'it is the same host, written otherwise')
  t.equal(four.localFaults, 1)
})
