/** A directory for one process at a time. */
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isSkeinError, SkeinError } from '../../base/errors.js'
import { LevelStorage } from '../../storage/index.js'

/** Beside log and snapshots; what is in it means nothing. */
export const lockName = 'lock'

/**
 * Node has no file locks; LevelDB does. An empty database is the lock: the system frees it when the process ends, even by SIGKILL,
 * and a process number that was given out again deceives nobody.
 * @throws {SkeinError} ERR_SKEIN_DIR_IN_USE, ERR_SKEIN_DIR_UNUSABLE
 */
export async function lockDir(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, lockName)
  try {
    return release(await openLock(path))
  } catch (error) {
    if (isSkeinError(error, 'ERR_SKEIN_DIR_IN_USE')) {
      const words = `${dir} is in use by another running process; stop it first, or give this one a directory of its own`
      throw new SkeinError('ERR_SKEIN_DIR_IN_USE', words, { dir }, { cause: error })
    }
    throw error
  }
}

async function openLock(path: string): Promise<LevelStorage> {
  try {
    return await LevelStorage.open(path)
  } catch (error) {
    if (!isSkeinError(error, 'ERR_SKEIN_CORRUPT')) throw error
    // A power cut while it was made. There is nothing in it to lose, but its own LOCK must stay the same file.
    for (const name of await readdir(path)) if (name !== 'LOCK') await unlink(join(path, name))
    return LevelStorage.open(path)
  }
}

function release(storage: LevelStorage): () => Promise<void> {
  return () => storage.close()
}
