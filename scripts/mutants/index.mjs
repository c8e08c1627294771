// The table of mutants: each breaks one rule of lib/raft/core (or of its `folder`). `find` is source text that occurs exactly once in `file`;
// `safety` says that the rule keeps committed entries or confirmed reads right (others keep a group alive, quick or bounded);
// `short` puts a mutant into the test run, where `noticedBy` is the file of tests that is asked first. A change that nobody could notice is no
// mutant and does not belong here.
import { durability } from './durability.mjs'
import { elections } from './elections.mjs'
import { flow } from './flow.mjs'
import { leases } from './lease.mjs'
import { log } from './log.mjs'
import { members } from './membership.mjs'
import { readsAndTransfers } from './reads.mjs'
import { succession } from './succession.mjs'
import { wal } from './wal.mjs'

const table = [...elections, ...durability, ...log, ...members, ...readsAndTransfers, ...leases, ...succession, ...flow, ...wal]

export const mutants = table.map((mutant) => ({ short: false, folder: 'lib/raft/core', ...mutant }))
