/** Puts a passphrase on the keys of a peer that does not run, and takes it off. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { isSkeinError, SkeinError } from '../base/errors.js'
import { KeyStore } from '../security/index.js'
import { LevelStorage } from '../storage/index.js'

/**
 * Seals the keys in the directory: a peer starts on it only with the passphrase. Called again with `old` it changes it.
 * @throws {SkeinError} ERR_SKEIN_LOCKED (sealed already, and `old` does not open it), ERR_SKEIN_INVALID_OPTION (no keys there),
 * ERR_SKEIN_DIR_IN_USE, ERR_SKEIN_CORRUPT, ERR_SKEIN_DIR_UNUSABLE
 */
export async function lockPeerDir(dir: string, passphrase: string, old?: string): Promise<void> {
  await reseal(dir, old, passphrase)
}

/** Takes the passphrase off. @throws {SkeinError} as `lockPeerDir`; ERR_SKEIN_PRECONDITION when there is none */
export async function unlockPeerDir(dir: string, passphrase: string): Promise<void> {
  if (!(await new KeyStore(dir).isLocked()))
    throw new SkeinError('ERR_SKEIN_PRECONDITION', `the keys in ${dir} are not locked`, { what: 'lock' })
  await reseal(dir, passphrase, undefined)
}

async function reseal(dir: string, old: string | undefined, next: string | undefined): Promise<void> {
  const lock = await holdDir(dir)
  try {
    const store = new KeyStore(dir)
    const keys = await store.read(old)
    if (keys === undefined) {
      throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `${dir}: no keys are there; give the data directory of a peer`, {
        option: 'dir',
        got: dir,
      })
    }
    await store.setPassphrase(next)
    await store.write(keys)
  } finally {
    await lock?.close()
  }
}

/** The database's lock is the directory's lock: while it is held no peer can start on it, nor write its keys. */
async function holdDir(dir: string): Promise<LevelStorage | undefined> {
  const db = join(dir, 'db')
  const isThere = await access(db).then(
    () => true,
    () => false, // no database: no peer runs on it
  )
  try {
    return isThere ? await LevelStorage.open(db) : undefined
  } catch (error) {
    if (!isSkeinError(error, 'ERR_SKEIN_DIR_IN_USE')) throw error
    throw new SkeinError('ERR_SKEIN_DIR_IN_USE', `a peer runs on ${dir}; stop it first`, { dir }, { cause: error })
  }
}
