// Compiles lib, test, bench and examples into dist/ with tsc, and bundles what is published into dist/npm/.
// --if-stale: does nothing when every source is older than the last build (keeps `npm start` immediate).
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'dist', '.built')
const sources = ['lib', 'test', 'bench', 'examples', 'scripts/bundle.mjs', 'tsconfig.json', 'package.json']

function newest(path) {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 0
  if (!stat.isDirectory()) return stat.mtimeMs
  // A directory's own time tells of what was removed or renamed.
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs)
}

const builtAt = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0
const fresh = builtAt >= sources.reduce((latest, name) => Math.max(latest, newest(join(root, name))), 0)
if (!(process.argv.includes('--if-stale') && fresh)) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!existsSync(tsc)) {
    console.error('build: typescript is not installed; run `npm ci` first')
    process.exit(1)
  }
  const startedAt = new Date()
  const { status } = spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  const { bundle } = await import('./bundle.mjs')
  await bundle(root)
  writeFileSync(stamp, '')
  utimesSync(stamp, startedAt, startedAt)
}
