import { keysUnder, type Storage, type Write } from '../storage/index.js'

/** Everything of the tables lies under it. */
export const tablesRoot = 'store'
const keysPerBatch = 500

/** Leaves nothing of the tables: for a peer that is no manager any more. Cut short, it is to be done again. @throws {SkeinError} ERR_SKEIN_STORAGE */
export async function forgetTables(storage: Storage): Promise<void> {
  for (;;) {
    const writes: Write[] = []
    for await (const { key } of storage.range({ ...keysUnder(tablesRoot), limit: keysPerBatch }))
      writes.push({ type: 'delete', key })
    if (writes.length === 0) return
    await storage.batch(writes, { sync: false })
  }
}
