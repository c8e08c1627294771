import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** The tests run the compiled modules one by one; this one looks at what is published: bundles of them. */
const root = fileURLToPath(new URL('../..', import.meta.url))
const { exports, bin, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly bin: Readonly<Record<string, string>>
  readonly version: string
}
const published = join(root, 'dist', 'npm')

for (const [entry, target] of Object.entries(exports)) {
  if (typeof target === 'string') continue
  t.test(`${entry} of the package exports what its module exports`, async (t) => {
    const name = join('skein', entry)
    const module = (await import(target.types.replace('./dist/npm/types', '../lib').replace(/\.d\.ts$/, '.js'))) as object
    t.same(Object.keys((await import(name)) as object), Object.keys(module))
    t.equal(fileURLToPath(import.meta.resolve(name)), join(root, target.default))
  })
}

t.test('the types of the package lead nowhere outside it', async (t) => {
  const types = readdirSync(join(published, 'types'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.d.ts'),
  )
  t.ok(types.length > 100)
  for (const file of types) {
    const text = readFileSync(join(published, 'types', file), 'utf8')
    for (const [, path] of text.matchAll(/\b(?:from|import)\s*\(?'(\.[^']+)\.js'/g))
      t.ok(existsSync(join(published, 'types', file, '..', `${path}.d.ts`)), `${file} refers to ${path}`)
  }
})

t.test('no module is bundled twice', async (t) => {
  const files = readdirSync(published).filter((file) => file.endsWith('.js'))
  const places = new Map<string, Set<string>>()
  for (const file of files) {
    for (const [, module] of readFileSync(join(published, file), 'utf8').matchAll(/^\/\/ (lib\/\S+\.ts)$/gm))
      places.set(module as string, (places.get(module as string) ?? new Set()).add(file))
  }
  t.ok(places.size > 300)
  t.same(
    [...places].filter(([, inFiles]) => inFiles.size > 1),
    [],
    'bundled twice, a class would be two',
  )
})

t.test('the program of the package says its version', async (t) => {
  const { stdout } = spawnSync(process.execPath, [join(root, bin.skein as string), '--version'], { encoding: 'utf8' })
  t.equal(stdout.trim(), version)
})

t.test('an app is one file after the command of operations.md, and runs', { timeout: 60_000 }, async (t) => {
  const page = readFileSync(join(root, 'docs', 'operations.md'), 'utf8')
  const command = /^\$ npx (esbuild app\.mjs .*)$/m.exec(page)?.[1]
  t.ok(command !== undefined)
  const dir = t.testdir({ 'app.mjs': readFileSync(join(root, 'examples', 'embed', 'ten-lines.mjs'), 'utf8') })
  const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
  const made = spawnSync('/bin/sh', ['-c', command as string], {
    cwd: dir,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  })
  t.equal(made.status, 0, made.stderr)
  t.ok(existsSync(join(dir, 'dist.mjs')))
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(dir, 'dist.mjs')], { encoding: 'utf8', timeout: 50_000 })
  t.equal(status, 0, stderr)
  t.match(stdout, /2 of 2 running\n/)
})
