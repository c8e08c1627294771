import { KeyStore, type RecordSealing } from '../security/index.js'
import { readIdentity, stateDirAt } from './state-dir.js'

/**
 * What opens the log and the tables of a stopped manager; undefined where its identity or its data key is not in the directory.
 * @throws {SkeinError} ERR_SKEIN_LOCKED (no passphrase, or a wrong one), ERR_SKEIN_CORRUPT, ERR_SKEIN_DIR_UNUSABLE
 */
export async function dirSealing(path: string, passphrase: string | undefined): Promise<RecordSealing | undefined> {
  const identity = await readIdentity(stateDirAt(path))
  const keys = await new KeyStore(path).read(passphrase)
  return identity && keys?.dataKey && { cluster: identity.cluster, dataKey: keys.dataKey }
}
