import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../../..')

t.test('every file and every name in the table of the thesis is there', (t) => {
  const readme = readFileSync(join(root, 'lib/raft/README.md'), 'utf8')
  const [, table = ''] = /^## Where the thesis is\n([\s\S]*?)\n\n[^|\n]*\n\n```/m.exec(readme) ?? []
  const rows = [...table.matchAll(/^\| (§[^|]+) \|[^|]*\| ([^|]+) \| ([^|]+) \|$/gm)]
  t.ok(rows.length > 20, `${rows.length} rows`)
  for (const [, section, code = '', tests = ''] of rows) {
    const files = [...code.matchAll(/`([\w/-]+\.ts)`(?: \(([^)]*)\))?/g)]
    t.not(files.length, 0, `${section} is somewhere`)
    for (const [, file = '', names = ''] of files) {
      const source = readFileSync(join(root, 'lib/raft', file), 'utf8')
      for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) {
        const isThere = new RegExp(`(^|[^\\w#])${name}\\b[<(= {]`, 'm').test(source)
        t.ok(isThere, `${section}: ${name} is in ${file}`)
      }
    }
    const named = [...tests.matchAll(/`([\w/.-]+\.test\.ts)`/g)]
    t.not(named.length, 0, `${section} has a test`)
    for (const [, file = ''] of named) t.ok(existsSync(join(root, 'test', file)), `${section}: test/${file}`)
  }
  t.end()
})

t.test('the example of the raft README compiles strictly and says what it should', { timeout: 60_000 }, async (t) => {
  const readme = readFileSync(join(root, 'lib/raft/README.md'), 'utf8')
  const [, example] = /^```ts\n([\s\S]*?)^```$/m.exec(readme) ?? []
  t.ok(example?.includes("from 'skein/raft'"), 'there is one')
  const dir = join(here, 'readme')
  mkdirSync(dir, { recursive: true })
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'example.ts')
  // The build this test belongs to, not whichever one the package's own name leads to.
  writeFileSync(file, (example as string).replace("'skein/raft'", "'../../../lib/raft/index.js'"))
  const config = ts.parseJsonConfigFileContent(
    { extends: join(root, 'tsconfig.json'), files: [file], compilerOptions: { rootDir: dir, outDir: dir, incremental: false } },
    ts.sys,
    root,
  )
  const { tsBuildInfoFile: _, ...options } = config.options
  const program = ts.createProgram([file], options)
  const problems = ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  t.strictSame(problems, [])
  program.emit()
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(dir, 'example.js')], { encoding: 'utf8', timeout: 30_000 })
  t.equal(status, 0, stderr)
  t.equal(stdout, 'green\n')
})
