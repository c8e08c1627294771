import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import t from 'tap'

const main = fileURLToPath(new URL('../../npm/cli.js', import.meta.url))

function skein(
  ...args: readonly string[]
): Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, SKEIN_DIR: t.testdirName }
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    )
  })
}

t.test('the program itself: help, version and failure end the process with their codes and whole output', async (t) => {
  const [help, version, usage, nowhere] = await Promise.all([
    skein('--help'),
    skein('--version'),
    skein('nod'),
    skein('node', 'ls', '--format', 'json'),
  ])
  t.match(help, { code: 0, stdout: /130 +interrupted/, stderr: '' })
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  t.match(usage, { code: 2, stdout: '', stderr: /Did you mean node/ })
  t.equal(nowhere.code, 2)
  t.match(JSON.parse(nowhere.stdout), { error: { code: 'ERR_SKEIN_INVALID_OPTION' } })
})

t.test('--help loads neither links nor disk nor YAML', async (t) => {
  // Every module the program loads is written to stderr.
  const dir = t.testdir({
    'hooks.mjs': `import { writeSync } from 'node:fs'
      export const load = (url, context, next) => { writeSync(2, url + '\\n'); return next(url, context) }`,
    'start.mjs': `import { register } from 'node:module'; register('./hooks.mjs', import.meta.url)`,
  })
  const loaded = await new Promise<string>((resolve) => {
    const args = ['--import', pathToFileURL(join(dir, 'start.mjs')).href, main, '--help']
    execFile(process.execPath, args, (_error, _stdout, stderr) => resolve(stderr))
  })
  t.match(loaded, /\/node_modules\/commander\//, 'the hooks see what is loaded')
  for (const heavy of ['ws', 'classic-level', 'msgpackr', 'yaml', 'valibot']) t.notMatch(loaded, `/node_modules/${heavy}/`)
})
