import t from 'tap'
import type { Connection } from '../../../lib/overlay/transport/index.js'
import { Outbox } from '../../../lib/overlay/transport/outbox.js'
import { channels, readFrame } from '../../../lib/wire/index.js'

const MiB = 1024 * 1024

/** A connection that keeps what it is given until told that it has left. */
function stuck() {
  const sent: string[] = []
  const connection = {
    remote: 'there:1',
    certificate: undefined,
    binding: new Uint8Array(),
    bufferedBytes: 0,
    open: () => undefined,
    close: () => undefined,
    destroy: () => undefined,
    send(frame: Uint8Array) {
      connection.bufferedBytes += frame.length
      sent.push(readFrame(frame).channel.name)
    },
  }
  let overruns = 0
  const outbox = new Outbox(connection satisfies Connection, () => overruns++)
  return { connection, sent, outbox, overruns: () => overruns }
}

t.test('a raft frame passes what is queued', async (t) => {
  const { outbox, sent, connection } = stuck()
  outbox.sendOrdered(channels.rpc, new Uint8Array(MiB), 'bounded')
  const before = sent.length
  t.ok(before < 6, `${before} of 17 frames were handed over`)
  t.ok(outbox.sendLossy(channels.raft, Uint8Array.of(1)))
  t.equal(sent.at(-1), 'raft')
  connection.bufferedBytes = 0
  outbox.pump()
  t.equal(sent.at(-1), 'rpc')
})

t.test(
  'a heartbeat passes what is queued, is refused where the connection is stuck, and one that never reads is found out',
  async (t) => {
    const { outbox, sent, connection, overruns } = stuck()
    outbox.sendOrdered(channels.rpc, new Uint8Array(MiB), 'bounded')
    outbox.sendAhead(channels.session, Uint8Array.of(1), 'bounded')
    t.equal(sent.at(-1), 'session')
    connection.bufferedBytes = 8 * MiB
    t.throws(() => outbox.sendAhead(channels.session, Uint8Array.of(1), 'bounded'), { code: 'ERR_SKEIN_BUSY' })
    outbox.sendAhead(channels.session, Uint8Array.of(2), 'always')
    t.equal(overruns(), 0)
    connection.bufferedBytes = 65 * MiB
    outbox.sendAhead(channels.session, Uint8Array.of(3), 'always')
    t.equal(overruns(), 1)
  },
)

t.test('a congested connection drops lossy messages and counts them; an oversized one is dropped too', async (t) => {
  const { outbox, connection } = stuck()
  connection.bufferedBytes = 8 * MiB
  t.notOk(outbox.sendLossy(channels.raft, Uint8Array.of(1)))
  connection.bufferedBytes = 0
  t.notOk(outbox.sendLossy(channels.raft, new Uint8Array(channels.raft.maxBytes + 1)))
  t.equal(outbox.dropped, 2)
})

t.test('a full queue refuses bounded messages with ERR_SKEIN_BUSY and still takes what ends calls', async (t) => {
  const { outbox } = stuck()
  for (let index = 0; index < 33; index++) outbox.sendOrdered(channels.rpc, new Uint8Array(MiB), 'bounded')
  t.throws(() => outbox.sendOrdered(channels.rpc, Uint8Array.of(1), 'bounded'), { code: 'ERR_SKEIN_BUSY' })
  outbox.sendOrdered(channels.rpc, Uint8Array.of(1), 'always')
  t.throws(() => outbox.sendOrdered(channels.rpc, new Uint8Array(17 * MiB), 'always'), { code: 'ERR_SKEIN_TOO_LARGE' })
})

t.test('one that asks and never reads is found out', async (t) => {
  const { outbox, overruns } = stuck()
  for (let index = 0; index < 70 && overruns() === 0; index++) outbox.sendOrdered(channels.rpc, new Uint8Array(MiB), 'always')
  t.equal(overruns(), 1)
})

t.test('room comes back when the queue has drained, or the link is closed, and not before', async (t) => {
  const { outbox, connection } = stuck()
  await outbox.room()
  outbox.sendOrdered(channels.rpc, new Uint8Array(2 * MiB), 'bounded')
  let had = 0
  const drained = outbox.room().then(() => had++)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(had, 0, 'the queue is full')
  while (connection.bufferedBytes > 0) {
    connection.bufferedBytes = 0
    outbox.pump()
  }
  await drained
  outbox.sendOrdered(channels.rpc, new Uint8Array(2 * MiB), 'bounded')
  const closed = outbox.room().then(() => had++)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(had, 1, 'full again')
  outbox.close()
  await closed
  t.equal(had, 2)
})
