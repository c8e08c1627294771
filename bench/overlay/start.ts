/**
 * Runs `member.bundle.cjs` with V8's code cache beside it, so that what another process compiled is only read. Whoever finds none writes
 * one when it has run for a while, with the functions that were called until then. @see docs/operations.md, Small machines
 *
 * Becomes a CommonJS file of its own, which knows nothing of the rest.
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { constants, Script } from 'node:vm'

const warmAfterMs = 3000

const folder = dirname(process.argv[1] as string)
const file = join(folder, 'member.bundle.cjs')
const source = readFileSync(file, 'utf8')
// V8 takes a cache for its own by version, flags and the length of the source: not by what the source says.
const cacheFile = `${file}.${createHash('sha256').update(source).digest('hex').slice(0, 16)}.cache`
const cachedData = readIfThere(cacheFile)
const script = new Script(`(function (require) {${source}\n})`, {
  filename: file,
  ...(cachedData && { cachedData }),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
})
if (script.cachedDataRejected !== false) {
  setTimeout(() => {
    const mine = `${cacheFile}.${process.pid}`
    writeFileSync(mine, script.createCachedData())
    renameSync(mine, cacheFile)
  }, warmAfterMs).unref()
}
const main = script.runInThisContext() as (require: NodeJS.Require) => void
main(createRequire(file))

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined // the first start, or another V8's: it compiles
  }
}
