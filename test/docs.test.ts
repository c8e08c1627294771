import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(`${root}/README.md`, 'utf8')

/** Code blocks of a page, by language. */
function blocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, code]) => code as string)
}

t.test('the ten lines of the README run as they stand, and end by themselves', { timeout: 60_000 }, async (t) => {
  const [code] = blocks(readme, 'js')
  t.ok(code !== undefined && code.trim().split('\n').length <= 12, 'they are about ten')
  // Inside the package, so that it resolves by its own name, as it does for a user.
  const dir = `${root}/dist/readme`
  mkdirSync(dir, { recursive: true })
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(`${dir}/ten-lines.mjs`, code as string)
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${dir}/ten-lines.mjs`], { encoding: 'utf8', timeout: 50_000 })
  t.equal(status, 0, stderr)
  t.match(stdout, /converged 2\/2\n/)
  t.equal(stdout.match(/hello\.\d running on /g)?.length, 2, stdout)
})

t.test('every command of the README is a command', async (t) => {
  const commands = blocks(readme, 'console')
    .join('\n')
    .split('\n')
    .filter((line) => line.startsWith('$ skein '))
    .map((line) => line.replace(/^\$ skein /, '').replace(/\s*#.*$/, ''))
  t.ok(commands.length >= 8)
  for (const command of commands) {
    const words = command.split(' ').filter((word) => /^[a-z]+$/.test(word))
    const path = words.slice(0, ['up', 'status'].includes(words[0] ?? '') ? 1 : 2)
    const { status, stdout } = spawnSync(process.execPath, [`${root}/dist/lib/cli/main.js`, ...path, '--help'], {
      encoding: 'utf8',
    })
    t.equal(status, 0, `skein ${path.join(' ')} --help`)
    t.match(stdout, new RegExp(`Usage: skein ${path.join(' ')}`), command)
  }
})

t.test('every file the README points to is there', async (t) => {
  for (const [, target] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
    t.ok(existsSync(`${root}/${target}`), `${target}`)
  }
})
