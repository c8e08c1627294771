// Breakages of what must be on disk before what leaves, counts or is applied (thesis §3.8, §10.2.1).
import { stalePassing, staleReturn } from './stale.mjs'

const raft = 'raft.ts'
const rawNode = 'raw-node.ts'
const promises = "if (isRequest || m.type === 'MsgAppResp' || m.type === 'MsgVoteResp' || m.type === 'MsgPreVoteResp') {"

export const durability = [
  {
    name: 'a vote leaves before it is written',
    file: raft,
    find: promises,
    replace: promises.replace("m.type === 'MsgVoteResp'", "(m.type === 'MsgVoteResp' && m.to === this.id)"),
    safety: true,
    section: 'thesis §3.8',
    short: true,
    noticedBy: 'test/raft/core/ready.test.js',
  },
  {
    name: 'an acknowledgement leaves before the entries are written',
    file: raft,
    find: promises,
    replace: promises.replace("m.type === 'MsgAppResp'", "(m.type === 'MsgAppResp' && m.to === this.id)"),
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'a vote request leaves before term and vote are written',
    file: raft,
    find: "const isRequest = m.type === 'MsgVote' && !this.options.electionsAsInEtcd",
    replace: 'const isRequest = false',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'a leader counts itself before its own write',
    file: 'leader.ts',
    find: "  raft.send('MsgAppResp', raft.id, { index })\n",
    replace:
      "  raft.tracker.get(raft.id)?.maybeUpdate(index)\n  maybeCommit(raft)\n  raft.send('MsgAppResp', raft.id, { index })\n",
    safety: true,
    section: 'thesis §10.2.1',
  },
  {
    name: 'believes a confirmation of a write of an earlier term',
    file: raft,
    find: staleReturn,
    replace: stalePassing('MsgStorageAppendResp'),
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'believes a confirmation of entries that have been replaced',
    file: 'unstable.ts',
    find: 'if (index < this.offset || this.term(index) !== term) return',
    replace: 'if (index < this.offset || this.term(index) === undefined) return',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'the first confirmation of a term covers only its own write',
    file: rawNode,
    find: 'const hasUnstable = log.unstable.length > 0',
    replace: 'const hasUnstable = ready.entries.length > 0',
    safety: false,
    section: 'thesis §3.8',
  },
  {
    name: 'applies entries before they are written',
    file: 'log.ts',
    find: 'return this.#options.applyUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1)',
    replace: 'return this.committed',
    safety: true,
    section: 'thesis §3.8',
    short: true,
    noticedBy: 'test/raft/core/log.test.js',
  },
  {
    name: 'does not ask for a sync of a vote',
    file: rawNode,
    find: ' || hardState.vote !== this.#lastHardState.vote',
    replace: '',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'does not ask for a sync of entries',
    file: rawNode,
    find: 'ready.entries.length > 0 || hardState.term',
    replace: 'hardState.term',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'a vote alone is not handed out to be written',
    file: rawNode,
    find: 'term !== last.term || vote !== last.vote ||',
    replace: 'term !== last.term ||',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'entries that replace others being written are not written',
    file: 'unstable.ts',
    find: 'this.#offsetInProgress = Math.min(this.#offsetInProgress, first)',
    replace: '',
    safety: true,
    section: 'thesis §3.8',
  },
  {
    name: 'storage keeps the suffix that new entries replace',
    file: 'memory-storage.ts',
    find: '    this.#entries.truncateFrom(index)\n    this.#entries.append(entries, skipped)\n',
    replace: `    const [end, last] = [index + entries.length - skipped, this.lastIndex()]
    const suffix = end <= last ? [...this.#entries.slice(end, last + 1, Number.POSITIVE_INFINITY)] : []
    this.#entries.truncateFrom(index)
    this.#entries.append(entries, skipped)
    this.#entries.append(suffix, 0)
`,
    safety: true,
    section: 'thesis §3.5',
  },
  {
    name: 'an older record lowers the commit index on disk',
    file: 'memory-storage.ts',
    find: 'const commit = Math.max(hardState.commit, this.#hardState?.commit ?? 0)',
    replace: 'const commit = hardState.commit',
    safety: false,
    section: 'thesis §3.8',
  },
]
