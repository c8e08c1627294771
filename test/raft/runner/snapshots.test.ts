import { mkdir, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { deferred } from '../../../lib/base/deferred.js'
import { makeMessage } from '../../../lib/raft/core/index.js'
import { decodeAnswer, encodeOffer, encodePiece } from '../../../lib/raft/runner/piece-codec.js'
import type { Answer } from '../../../lib/raft/runner/piece-protocol.js'
import { encodeFrame, frameHead } from '../../../lib/raft/runner/raft-codec.js'
import { MemoryFiles, nodeFiles, Snapshots, type WalFiles } from '../../../lib/raft/wal/index.js'
import { bytes, Cluster, clusterId, ListMachine, type Peer, voters } from './cluster.js'

const MiB = 1024 * 1024
/** Each entry becomes a record of a snapshot. */
const entryBytes = 256 * 1024
const fewSnapshots = { snapshotEveryEntries: 1_000_000, snapshotEveryBytes: 2 ** 40, trailingEntries: 0, tickMs: 50 }

async function clusterFor(t: Test, diskOf?: (id: number) => WalFiles): Promise<Cluster> {
  const cluster = await Cluster.create(diskOf)
  t.teardown(() => cluster.end())
  return cluster
}

/** A leader with a snapshot of so many bytes and no log before it, and a voter that was down all that time. */
async function withOneBehind(
  t: Test,
  stateBytes: number,
  o: { readonly diskOf?: (id: number) => WalFiles; readonly pace?: number } = {},
) {
  const cluster = await clusterFor(t, o.diskOf)
  const options = { ...fewSnapshots, ...(o.pace !== undefined && { snapshotBytesPerSecond: o.pace }) }
  const leader = await cluster.found([1, 2, 3], options)
  const behind = cluster.peers.find(({ id }) => id !== leader.id)?.id as number
  await cluster.kill(behind)
  for (let i = 0; i * entryBytes < stateBytes; i++) await leader.runner.propose(Buffer.alloc(entryBytes, `${i}, `))
  await leader.runner.snapshot()
  const isBack = () =>
    cluster.peers.some(({ id, machine }) => id === behind && machine.texts.length === leader.machine.texts.length)
  return { cluster, options, leader, behind, isBack }
}

function partials(cluster: Cluster, id: number): Promise<readonly string[]> {
  return readdir(join(cluster.dir(id), 'snapshots')).then((names) => names.filter((name) => name.endsWith('.part')))
}

t.test('a snapshot of 32 MiB crosses while writes go on, without an election', async (t) => {
  const { cluster, options, leader, behind } = await withOneBehind(t, 32 * MiB, { pace: 24 * MiB })
  const { term } = leader.runner.status()
  const begun = deferred()
  cluster.onPiece = (piece) => {
    begun.resolve()
    return piece
  }
  const back = await cluster.start(behind, options)
  await begun.promise
  t.match(leader.runner.status().transfers, [{ peer: behind, direction: 'out' }])
  let writes = 0
  while (back.machine.restores === 0) {
    await leader.runner.propose(bytes(`write ${writes++}`))
  }
  t.ok(writes > 20, `${writes} writes meanwhile`)
  await cluster.until(() => back.machine.texts.length === leader.machine.texts.length)
  t.strictSame(back.machine.texts, leader.machine.texts)
  t.equal(back.machine.restores, 1, 'the log held on to what came after the snapshot')
  for (const { runner } of cluster.peers) t.equal(runner.status().term, term)
  t.equal(leader.runner.metrics().leaderChanges, 1)
  t.ok(cluster.piecesCarried >= 64, `${cluster.piecesCarried} pieces`)
  t.strictSame(leader.runner.status().transfers, [])
  t.strictSame(await partials(cluster, behind), [])
})

t.test('commands are applied while a large state is written, chunk by chunk', async (t) => {
  /** Texts that were there whenever a chunk was asked for. */
  const seen: number[] = []
  class Large extends ListMachine {
    override *snapshot(): Iterable<Uint8Array> {
      for (let i = 0; i < 64; i++) {
        seen.push(this.texts.length)
        yield Buffer.alloc(MiB / 2)
      }
    }
  }
  const cluster = await clusterFor(t)
  const { runner } = await cluster.start(1, { ...fewSnapshots, bootstrap: voters(1), stateMachine: new Large() })
  runner.campaign()
  await runner.barrier()
  await runner.propose(bytes('first'))
  let isTaken = false
  const taken = runner.snapshot().finally(() => {
    isTaken = true
  })
  for (let i = 0; !isTaken; i++) await runner.propose(bytes(`meanwhile ${i}`))
  await taken
  t.equal(seen.length, 64)
  const applied = (seen.at(-1) ?? 0) - (seen[0] ?? 0)
  t.ok(applied > 5, `${applied} commands between the first chunk and the last`)
})

t.test('a broken link costs the pieces that were on it, and a changed piece is asked for again', async (t) => {
  const { cluster, options, behind, isBack } = await withOneBehind(t, 8 * MiB)
  let seen = 0
  const offsets = new Set<number>()
  let repeated = 0
  cluster.onPiece = (piece) => {
    seen++
    if (piece[1] === 1) {
      const offset = piece.readDoubleLE(30)
      if (offsets.has(offset)) repeated++
      offsets.add(offset)
    }
    if (seen % 7 === 0) throw new Error('the link broke')
    if (seen % 11 === 0) piece[piece.length - 1] = (piece[piece.length - 1] as number) ^ 1
    return piece
  }
  await cluster.start(behind, options)
  await cluster.until(isBack)
  t.ok(repeated > 0 && repeated < offsets.size, `${repeated} of ${offsets.size} pieces went twice`)
})

t.test('a receiver that was killed goes on with what it has on disk', async (t) => {
  const { cluster, options, behind, isBack } = await withOneBehind(t, 16 * MiB)
  const half = deferred()
  cluster.onPiece = (piece) => {
    if (piece[1] === 1 && piece.readDoubleLE(30) >= 10 * MiB) half.resolve()
    return piece
  }
  await cluster.start(behind, options)
  await half.promise
  await cluster.kill(behind)
  const [partial] = await partials(cluster, behind)
  t.ok(partial, 'what came is there')
  const { size } = await stat(join(cluster.dir(behind), 'snapshots', partial as string))
  // The end of it never reached the disk.
  await truncate(join(cluster.dir(behind), 'snapshots', partial as string), size - 1000)
  let from = Number.POSITIVE_INFINITY
  cluster.onPiece = (piece) => {
    if (piece[1] === 1) from = Math.min(from, piece.readDoubleLE(30))
    return piece
  }
  await cluster.start(behind, options)
  await cluster.until(isBack)
  t.ok(from > 8 * MiB && from < size, `it went on at ${from} of ${size}`)
  t.strictSame(await partials(cluster, behind), [])
})

t.test('a leader that loses its office stops sending, and the next one finishes', async (t) => {
  const { cluster, options, leader, behind, isBack } = await withOneBehind(t, 16 * MiB)
  const other = cluster.peers.find(({ id }) => id !== leader.id) as Peer
  await cluster.until(() => other.runner.status().appliedIndex === leader.runner.status().appliedIndex)
  await other.runner.snapshot()
  const begun = deferred()
  cluster.onPiece = (piece) => {
    if (piece[1] === 1 && piece.readDoubleLE(30) >= 4 * MiB) begun.resolve()
    return piece
  }
  await cluster.start(behind, options)
  await begun.promise
  await leader.runner.transferLeadership(other.id)
  t.strictSame(
    leader.runner.status().transfers.filter(({ direction }) => direction === 'out'),
    [],
  )
  await cluster.until(isBack)
  t.equal(other.runner.status().role, 'leader')
  t.ok(other.runner.metrics().snapshotsSent === 1)
})

t.test(
  'a full disk at the receiver ends no process: it is asked again, and the space of what came is free meanwhile',
  async (t) => {
    let isFull = true
    const full: WalFiles = {
      ...nodeFiles,
      create: async (path) => {
        const file = await nodeFiles.create(path)
        if (!path.endsWith('.part')) return file
        return {
          write: async (data, position) => {
            if (isFull && position > 2 * MiB)
              throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', syscall: 'write' })
            await file.write(data, position)
          },
          read: (position, size) => file.read(position, size),
          size: () => file.size(),
          truncate: (size) => file.truncate(size),
          sync: () => file.sync(),
          close: () => file.close(),
        }
      },
    }
    const { cluster, options, leader, behind, isBack } = await withOneBehind(t, 6 * MiB, { diskOf: () => full })
    let offers = 0
    const third = deferred()
    cluster.onPiece = (piece) => {
      if (piece[1] === 0 && ++offers === 3) third.resolve()
      return piece
    }
    const back = await cluster.start(behind, options)
    await third.promise
    t.equal(back.runner.status().role, 'follower')
    await leader.runner.propose(bytes('writes go on'))
    isFull = false
    await cluster.until(isBack)
    t.equal(back.machine.restores, 1)
  },
)

t.test("the sender's damaged file is told, not sent for ever: another snapshot takes its place", async (t) => {
  const { cluster, options, leader, behind, isBack } = await withOneBehind(t, 4 * MiB)
  const dir = join(cluster.dir(leader.id), 'snapshots')
  for (const name of await readdir(dir)) {
    const file = await nodeFiles.open(join(dir, name))
    await file.write(Buffer.from('rotten'), 2 * MiB)
    await file.close()
  }
  await cluster.start(behind, options)
  await cluster.until(isBack)
  const { snapshotsDamaged, snapshotsTaken, snapshotsSent } = leader.runner.metrics()
  t.ok(snapshotsDamaged >= 1)
  t.ok(snapshotsSent === 1)
  t.ok(snapshotsTaken <= 2, `${snapshotsTaken} taken`)
})

t.test('what is left of snapshots that were never finished goes when a peer starts, unless it may go on', async (t) => {
  const cluster = await clusterFor(t)
  const peer = await cluster.start(1, { ...fewSnapshots, bootstrap: voters(1) })
  peer.runner.campaign()
  await cluster.leader()
  await peer.runner.propose(bytes('one'))
  const index = await peer.runner.snapshot()
  await cluster.kill(1)
  const dir = join(cluster.dir(1), 'snapshots')
  await mkdir(dir, { recursive: true })
  const name = (at: number) => `${String(at).padStart(16, '0')}-1.5000.77.part`
  for (const left of [`${String(9).padStart(16, '0')}-1.snapshot.1.tmp`, name(index), name(50), name(60)]) {
    await writeFile(join(dir, left), 'part of something')
  }
  await cluster.start(1, fewSnapshots)
  const names = await readdir(dir)
  t.strictSame(
    names.filter((each) => !each.endsWith('.snapshot')),
    [name(60)],
  )
})

t.test('a receiver takes one snapshot at a time: the newest offer counts, a deposed leader is refused', async (t) => {
  const cluster = await clusterFor(t)
  const peer = await cluster.start(2)
  const ask = async (from: number, request: Uint8Array): Promise<Answer> =>
    decodeAnswer(await peer.runner.receiveSnapshotPiece(from, request))
  const frame = (from: number, term: number, index: number) => {
    const snapshot = { index, term: 3, confState: voters(1, 2, 3), data: new Uint8Array(0) }
    return encodeFrame(frameHead(clusterId), [makeMessage('MsgSnap', from, 2, term, { snapshot })])
  }
  const { digest, file } = await fileOf(9)
  const stale = { ...digest, index: 5, sizeBytes: 9000 }
  t.match(await ask(1, encodeOffer(stale, frame(1, 3, 5))), { type: 'want', offset: 0 })
  t.match(await ask(3, encodeOffer(digest, frame(3, 4, 9))), { type: 'want', offset: 0 })
  t.match(await ask(1, encodePiece(stale, 0, file.subarray(0, 10))), { type: 'refused' })
  t.match(await ask(3, encodePiece(digest, 0, file.subarray(0, 100))), { type: 'want', offset: 100 })
  t.strictSame(peer.runner.status().transfers, [{ peer: 3, direction: 'in', index: 9, sizeBytes: file.length, doneBytes: 100 }])
  t.match(await ask(1, encodeOffer(digest, frame(1, 4, 9))), { type: 'want', offset: 100 }, 'the same bytes from another leader')
  await t.rejects(ask(7, encodeOffer(digest, frame(1, 4, 9))), { code: 'ERR_SKEIN_BAD_MESSAGE' }, 'not from its sender')
  await t.rejects(ask(1, encodeOffer({ ...digest, index: 8 }, frame(1, 4, 9))), { code: 'ERR_SKEIN_BAD_MESSAGE' })
  t.match(await ask(1, encodePiece(digest, 100, file.subarray(100))), { type: 'done' })
  await cluster.until(() => peer.machine.restores === 1)
  t.strictSame(peer.machine.texts, ['a', 'b'])
  await cluster.until(() => peer.runner.status().appliedIndex === 9)
  t.match(peer.runner.status(), { commitIndex: 9, term: 4, leader: 1, conf: { voters: [1, 2, 3] } })
  t.match(await ask(1, encodeOffer(digest, frame(1, 4, 9))), { type: 'done' }, 'what is known already is not sent')
  t.match(await ask(3, encodeOffer({ ...digest, index: 99 }, frame(3, 3, 99))), { type: 'refused' }, 'of a term that is over')
})

t.test('a file that is not what was announced is dropped and asked for anew', async (t) => {
  const cluster = await clusterFor(t)
  const peer = await cluster.start(2)
  const { digest, file } = await fileOf(9)
  const snapshot = { index: 9, term: 3, confState: voters(1, 2, 3), data: new Uint8Array(0) }
  const offer = encodeOffer(digest, encodeFrame(frameHead(clusterId), [makeMessage('MsgSnap', 1, 2, 3, { snapshot })]))
  const ask = async (request: Uint8Array): Promise<Answer> => decodeAnswer(await peer.runner.receiveSnapshotPiece(1, request))
  await ask(offer)
  const wrong = Buffer.from(file)
  wrong[wrong.length - 20] = (wrong[wrong.length - 20] as number) ^ 4
  t.strictSame(await ask(encodePiece(digest, 0, wrong)), { type: 'again', offset: 0 })
  t.equal(peer.machine.restores, 0)
  t.strictSame(await ask(encodePiece(digest, 0, file)), { type: 'done' })
  await cluster.until(() => peer.machine.restores === 1)
})

/** A snapshot's file as a leader would send it. */
async function fileOf(index: number) {
  const files = new MemoryFiles()
  const snapshots = await Snapshots.open({ dir: '/s', files })
  const meta = { index, term: 3, confState: voters(1, 2, 3) }
  await snapshots.save(meta, [bytes('a\n'), bytes('b\n')])
  const reader = await snapshots.open(meta)
  const digest = await reader.digest()
  const file = new Uint8Array(digest.sizeBytes)
  await reader.into(file, 0)
  return { digest, file }
}
