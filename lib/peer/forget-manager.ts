import type { Storage } from '../storage/index.js'
import { forgetTables } from '../store/forget-tables.js'
import { removeRaftDir, type StateDir } from './state-dir.js'

/** What a peer that is no manager any more must not keep: cut short, it is done again at the next start. @throws {SkeinError} ERR_SKEIN_DIR_UNUSABLE, ERR_SKEIN_STORAGE */
export async function forgetManagersData(dir: StateDir | undefined, storage: Storage): Promise<void> {
  if (dir !== undefined) await removeRaftDir(dir)
  await forgetTables(storage)
}
