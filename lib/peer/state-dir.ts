import { constants } from 'node:fs'
import { access, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import * as v from 'valibot'
import { messageOf, SkeinError } from '../base/errors.js'

/**
 * What lies where in a peer's directory:
 * `identity.json` who this peer is · `keys.json` its key and certificate (0600; sealed when there is a passphrase) · `db/` applied state and the agent's tasks (its lock is the directory's lock) ·
 * `raft/` log and snapshots of a manager · `members` who was in, for the next start · `tasks/` logs of tasks · `control.json` how the CLI reaches the running peer (0600).
 */
export interface StateDir {
  readonly path: string
  readonly db: string
  readonly raft: string
  readonly tasks: string
  readonly members: string
}

const manager = v.object({ node: v.string(), address: v.string() })

const identitySchema = v.object({
  format: v.literal(1),
  /** '' until a newcomer was taken in. */
  cluster: v.string(),
  node: v.string(),
  name: v.string(),
  role: v.picklist(['manager', 'worker']),
  raftId: v.optional(v.pipe(v.number(), v.safeInteger())),
  /** True until the founding peer has written the first records; a crash before that founds again. */
  founding: v.optional(v.boolean()),
  /** True once this manager has taken part in raft: from then on its log must be there. */
  hasLog: v.optional(v.boolean()),
  /** True until a manager has taken this newcomer in; a crash before that asks again under the same node id. */
  joining: v.optional(v.boolean()),
  address: v.string(),
  /** Number of this start: higher each time. What it says in it replaces what it said before. */
  epoch: v.optional(v.pipe(v.number(), v.safeInteger()), 0),
  managers: v.array(manager),
})

/** Who this peer is, kept across restarts. */
export type StoredIdentity = v.InferOutput<typeof identitySchema>

/** Above every earlier start, also after the directory was lost or the wall clock set back; a second is the shortest start. */
export function nextEpoch(last: number | undefined, wallMs: number): number {
  return Math.max((last ?? 0) + 1, Math.floor(wallMs / 1_000))
}

/** Makes the directory and its parts. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
export async function openStateDir(path: string): Promise<StateDir> {
  try {
    await makeDirectories(resolve(path))
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw unusable({ path }, cause)
  }
  return stateDirAt(path)
}

/** What would lie where in this directory. */
export function stateDirAt(path: string): StateDir {
  return { path, db: join(path, 'db'), raft: join(path, 'raft'), tasks: join(path, 'tasks'), members: join(path, 'members') }
}

/** @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, and ERR_SKEIN_CORRUPT when the file is there but not readable as an identity */
export async function readIdentity(dir: StateDir): Promise<StoredIdentity | undefined> {
  const file = join(dir.path, 'identity.json')
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(dir, error)
  }
  try {
    return v.parse(identitySchema, JSON.parse(text))
  } catch (cause) {
    throw new SkeinError(
      'ERR_SKEIN_CORRUPT',
      `${file}: not an identity this version understands (${messageOf(cause)}); restore it from a backup, or remove the directory and join again as a new node`,
      { file },
      { cause },
    )
  }
}

/** @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
export async function writeIdentity(dir: StateDir, identity: StoredIdentity): Promise<void> {
  try {
    await writeDurably(join(dir.path, 'identity.json'), `${JSON.stringify(identity, undefined, 2)}\n`)
  } catch (cause) {
    throw unusable(dir, cause)
  }
}

/**
 * A manager whose log is gone has forgotten what it voted for and acknowledged: it must never take part again under its raft id.
 * @throws {SkeinError} ERR_SKEIN_CORRUPT
 * @see Ongaro 2014 §4.4: a server that lost its log is a new server
 */
export async function refuseLostLog({ path, raft }: StateDir, { hasLog, name }: StoredIdentity): Promise<void> {
  const file = join(raft, 'log')
  const isThere = await access(file).then(
    () => true,
    () => false, // why it cannot be read is said by who opens it
  )
  if (isThere || hasLog !== true) return
  throw new SkeinError(
    'ERR_SKEIN_CORRUPT',
    `${file}: this manager's log is gone, and with it what it voted for. Restore it, or remove node ${name} from the cluster ` +
      `(skein node rm), then remove ${path} and join again as a new node`,
    { file },
  )
}

/** For a peer that is no manager any more: nothing can take part in raft under its old id again. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
export async function removeRaftDir(dir: StateDir): Promise<void> {
  try {
    await rm(dir.raft, { recursive: true, force: true })
  } catch (cause) {
    throw unusable(dir, cause)
  }
}

/** Says how the CLI reaches this peer while it runs; removed at stop. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE */
export async function writeControlFile(dir: StateDir, url: string): Promise<void> {
  try {
    await writeFile(join(dir.path, 'control.json'), `${JSON.stringify({ url })}\n`, { mode: 0o600 })
  } catch (cause) {
    throw unusable(dir, cause)
  }
}

export async function removeControlFile(dir: StateDir): Promise<void> {
  await rm(join(dir.path, 'control.json'), { force: true })
}

/** Not node's own recursive mkdir: where the system denies that the path exists (/proc), that one tries again for ever. */
async function makeDirectories(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    const parent = dirname(path)
    const parentIsThere = await stat(parent).then(
      () => true,
      () => false, // then it is made first, and says itself why it cannot be
    )
    if (code !== 'ENOENT' || parentIsThere) throw error
    await makeDirectories(parent)
    await makeDirectories(path)
  }
}

function unusable({ path }: Pick<StateDir, 'path'>, cause: unknown): SkeinError<'ERR_SKEIN_DIR_UNUSABLE'> {
  const words = `dir ${path}: ${messageOf(cause)}; give a directory this user can write, or make this one writable`
  return new SkeinError('ERR_SKEIN_DIR_UNUSABLE', words, { dir: path }, { cause })
}

/** Whole or not at all, also across a power cut: temporary file, fsync, rename, fsync of the directory. */
async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  const directory = await open(join(file, '..'), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
