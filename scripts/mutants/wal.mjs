// Breakages of the log on disk: what is written, in which order it is made durable, and what is believed when it is read back
// (thesis §3.8, §11.7.3). Noticed by the layer wal alone; that of the simulator has a disk of its own.
const folder = 'lib/raft/wal'
const section = 'thesis §3.8'

export const wal = [
  {
    name: 'what a cut-short write left stays behind the repair',
    file: 'recover.ts',
    find: '  await file.truncate(tail.offset)\n',
    replace: '',
    short: true,
    noticedBy: 'test/raft/wal/fire.test.js',
  },
  {
    name: 'a cut-short write is not kept aside',
    file: 'recover.ts',
    find: '  await broken.write(await readWhole(files, path), 0)\n',
    replace: '',
    safety: false,
  },
  {
    name: 'a write resolves before it is synced',
    file: 'segment.ts',
    find: '    await this.#file.sync()\n  }\n\n  close',
    replace: '  }\n\n  close',
    short: true,
    noticedBy: 'test/raft/wal/wal-model.test.js',
  },
  {
    name: 'the header of a segment is not synced',
    file: 'segment.ts',
    find: '    await file.sync()\n',
    replace: '',
  },
  {
    name: "a new segment's name is not synced",
    file: 'segment.ts',
    find: '    await files.syncDir(dir)\n',
    replace: '',
  },
  {
    name: 'the old segment is sealed before the next one is there',
    file: 'wal.ts',
    find: `    const next = await createSegment(files, dir, header, encodeBatches([this.#head.carry()]), growBytes)
    await old.append(seal)
`,
    replace: `    await old.append(seal)
    const next = await createSegment(files, dir, header, encodeBatches([this.#head.carry()]), growBytes)
`,
    safety: false,
  },
  {
    name: 'a new segment does not carry term, vote and snapshot on',
    file: 'wal.ts',
    find: 'encodeBatches([this.#head.carry()]), growBytes)',
    replace: 'encodeBatches([]), growBytes)',
  },
  {
    name: 'segments are released before a snapshot covers them',
    file: 'wal.ts',
    find: 'first !== undefined && first.maxIndex <= covered;',
    replace: 'first !== undefined && first.maxIndex <= covered + 5;',
  },
  {
    name: 'what a killed process left counts before it is synced',
    file: 'wal.ts',
    find: '    await syncFile(options.files, last.path)\n',
    replace: '',
    short: true,
    noticedBy: 'test/raft/wal/replay.test.js',
  },
  {
    name: 'a write after a failed one is tried',
    file: 'wal.ts',
    find: '      if (this.#failure !== undefined) throw this.#failure\n',
    replace: '',
  },
  {
    name: 'a checksum is not compared',
    file: 'record.ts',
    find: '  if (crc !== bytes.readUInt32LE(offset + 8)) return undefined\n',
    replace: '',
  },
  {
    name: 'a record of another place in the chain is read',
    file: 'record.ts',
    find: '    if (bytes.readUInt32LE(at + 12) !== crc) {',
    replace: '    if (bytes.readUInt32LE(at + 12) > 0xffff_ffff && crc > 0) {',
  },
  {
    name: 'damage before good records is taken for a cut-short write',
    file: 'record.ts',
    find: '    if (readRecord(bytes, at) === undefined) continue\n',
    replace: '    if (readRecord(bytes, at) === undefined || at > 0) continue\n',
  },
  {
    name: 'a record that was written behind a damaged one is not seen',
    file: 'record.ts',
    find: '  if (claimedEnd < end) return',
    replace: '  if (claimedEnd < offset) return',
  },
  {
    name: 'a last record that rotted is taken for a cut-short write',
    file: 'record.ts',
    find: '  if (hasBlankSector(bytes, offset, claimedEnd))\n',
    replace: '  if (hasBlankSector(bytes, offset, claimedEnd) || claimedEnd > 0)\n',
  },
  {
    name: 'a missing segment is not noticed',
    file: 'recover.ts',
    find: '  refuseGaps(dir, seqs)\n',
    replace: '',
  },
  {
    name: 'a sealed segment without its successor is opened',
    file: 'recover.ts',
    find: '  if (last.sealed) throw corrupt',
    replace: '  if (last.sealed && last.path === dir) throw corrupt',
  },
  {
    name: 'an earlier segment without its seal is read over',
    file: 'recover.ts',
    find: '  for (const read of reads.slice(0, -1)) refuseUnlessSealed(read)\n',
    replace: '',
  },
  {
    name: "another raft id's log is opened",
    file: 'recover.ts',
    find: '  if (header.nodeId !== owner.nodeId) {',
    replace: '  if (header.nodeId !== owner.nodeId && header.seq > 1) {',
  },
  {
    name: 'a commit index goes back',
    file: 'replay.ts',
    find: 'commit: Math.max(next.commit, old?.commit ?? 0) }',
    replace: 'commit: next.commit }',
  },
  {
    name: 'an installed snapshot keeps the entries behind it',
    file: 'replay.ts',
    find: "this.#entries = mark.kind === 'installed' ? [] : ",
    replace: 'this.#entries = ',
  },
  {
    name: 'committed entries that are missing are not missed',
    file: 'replay.ts',
    find: '    if (commit > last) throw',
    replace: '    if (commit > last && last < 0) throw',
  },
  {
    name: 'a snapshot that the log refers to may be missing',
    file: 'raft-disk.ts',
    find: '      if (contents.snapshot !== undefined) await snapshots.meta(contents.snapshot)\n',
    replace: '',
  },
  {
    name: 'snapshots without their log are opened',
    file: 'raft-disk.ts',
    find: 'if (contents.hardState === undefined && snapshots.list().length > 0) {',
    replace: 'if (contents.hardState === undefined && snapshots.list().length > 9) {',
  },
].map((mutant) => ({ safety: true, ...mutant, folder, section }))
