// Makes what is published: lib/ as few files in dist/npm/, and the types that its entries lead to beside them. A process that imports
// the package reads some ten files instead of some three hundred, which halves what its start costs. Also what a benchmark starts by the
// hundred, as an app that is deployed as one file.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import ts from 'typescript'

/** Entries by the name of their file. What is started by file stands beside its starter, as it does in lib/: all in one folder. */
const entries = {
  index: 'lib/index.ts',
  raft: 'lib/raft/index.ts',
  drivers: 'lib/drivers/index.ts',
  compose: 'lib/compose/index.ts',
  sim: 'lib/sim/index.ts',
  testing: 'lib/testing/index.ts',
  cli: 'lib/cli/main.ts',
  'peer-process': 'lib/cli/demo/peer-process.ts',
  janitor: 'lib/cli/demo/janitor.ts',
}
const programs = new Set(['cli', 'peer-process', 'janitor'])

/** Of dist/lib/ as tsc wrote it. */
export async function bundle(root) {
  const out = join(root, 'dist', 'npm')
  rmSync(out, { recursive: true, force: true })
  await build({ ...common(root), entryPoints: entries, splitting: true, outdir: out, chunkNames: '[name]-[hash]' })
  const members = join(root, 'dist', 'bench', 'overlay')
  for (const name of readdirSync(members)) if (name.endsWith('.cache')) rmSync(join(members, name))
  const app = { format: 'cjs', packages: 'bundle' }
  await build({ ...common(root), ...app, entryPoints: ['bench/overlay/member.ts'], outfile: join(members, 'member.bundle.cjs') })
  await build({ ...common(root), ...app, entryPoints: ['bench/overlay/start.ts'], outfile: join(members, 'start.cjs') })
  const types = join(out, 'types')
  const copied = new Set()
  for (const [name, source] of Object.entries(entries)) {
    if (!programs.has(name)) copyTypes(join(root, 'dist', source.replace(/\.ts$/, '.d.ts')))
  }

  /** With all it refers to. */
  function copyTypes(file) {
    if (copied.has(file)) return
    copied.add(file)
    const target = join(types, relative(join(root, 'dist', 'lib'), file))
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(file, target)
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/\b(?:from|import)\s*\(?'(\.[^']+)\.js'/g))
      copyTypes(join(dirname(file), `${path}.d.ts`))
  }
}

function common(root) {
  return {
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    logLevel: 'warning',
    plugins: [withoutComments],
  }
}

/** esbuild keeps those inside classes; they are a twelfth of what is published, and stand in the types already. */
const withoutComments = {
  name: 'without comments',
  setup({ onLoad }) {
    const compilerOptions = {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      removeComments: true,
      inlineSourceMap: true,
      inlineSources: true,
    }
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      return {
        contents: ts.transpileModule(await readFile(path, 'utf8'), { compilerOptions, fileName: path }).outputText,
        loader: 'js',
      }
    })
  },
}
