import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

// The compiled test stands at dist/test/, the sources beside dist/.
const lib = fileURLToPath(new URL('../../lib', import.meta.url))

/** Who may import whom: the table of ARCHITECTURE.md. `type` imports count too: a contract is a dependency. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  wire: ['base'],
  storage: ['base'],
  security: ['base', 'model', 'storage'],
  'raft/core': ['base'],
  'raft/wal': ['base', 'wire', 'storage', 'raft/core'],
  'raft/runner': ['base', 'wire', 'raft/core', 'raft/wal'],
  'raft/autopilot': ['base', 'raft/core'],
  raft: ['base', 'wire', 'raft/core', 'raft/wal', 'raft/runner', 'raft/autopilot'],
  drivers: ['base', 'model'],
  'overlay/transport': ['base', 'wire', 'security'],
  'overlay/swim': ['base', 'wire', 'overlay/transport'],
  'overlay/gossip': ['base', 'wire'],
  'overlay/datagram': ['base', 'model', 'overlay/transport'],
  store: ['base', 'model', 'wire', 'storage', 'raft/runner'],
  api: ['base', 'model', 'wire', 'security', 'drivers', 'overlay/transport'],
  scheduler: ['base', 'model', 'store'],
  orchestrator: ['base', 'model', 'store', 'scheduler'],
  dispatcher: ['base', 'model', 'store', 'api', 'overlay/transport'],
  agent: ['base', 'model', 'wire', 'storage', 'api', 'drivers', 'overlay/transport'],
  manager: [
    'base',
    'model',
    'wire',
    'storage',
    'security',
    'raft/core',
    'raft/wal',
    'raft/runner',
    'raft/autopilot',
    'overlay/transport',
    'store',
    'api',
    'scheduler',
    'orchestrator',
    'dispatcher',
  ],
  compose: ['base', 'model'],
}
/** Folders at the top: they wire everything below and nothing below may know them. */
const top: Readonly<Record<string, readonly string[]>> = {
  peer: ['cli', 'sim', 'testing', ''],
  cli: ['sim', 'testing', ''],
  '': ['cli', 'sim', 'testing'],
}
/** Beside the hill: may import anything below the composition root. */
const beside = new Set(['sim', 'testing'])

interface Import {
  /** An import of types alone is gone when the code runs. */
  readonly typeOnly: boolean
  readonly from: string
  readonly to: string
  readonly line: number
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

/** The folder of the table a file belongs to: the longest name that fits. */
function folderOf(file: string): string {
  const folder = dirname(file).replaceAll('\\', '/')
  if (folder === '.') return ''
  const names = [...Object.keys(mayImport), ...Object.keys(top), ...beside].filter((name) => name !== '')
  const fitting = names.filter((name) => folder === name || folder.startsWith(`${name}/`))
  return fitting.sort((a, b) => b.length - a.length)[0] ?? folder
}

function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true)
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    const specifier =
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined
        ? node.moduleSpecifier
        : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
          ? node.arguments[0]
          : undefined
    if (specifier !== undefined && ts.isStringLiteral(specifier) && specifier.text.startsWith('.')) {
      const target = normalize(join(dirname(file), specifier.text.replace(/\.js$/, '.ts')))
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push({ typeOnly: isTypeOnly(node), from: relative(lib, file), to: relative(lib, target), line: line + 1 })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function isTypeOnly(node: ts.Node): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  if (!ts.isImportDeclaration(node) || node.importClause === undefined) return false
  const { phaseModifier, name, namedBindings } = node.importClause
  if (phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  if (name !== undefined || namedBindings === undefined || ts.isNamespaceImport(namedBindings)) return false
  return namedBindings.elements.every((element) => element.isTypeOnly)
}

const files = sources(lib)
const imports = files.flatMap(importsOf)

function allowed({ from, to }: Import): boolean {
  const [a, b] = [folderOf(from), folderOf(to)]
  if (a === b) return true
  if (beside.has(a)) return !(b in top)
  if (beside.has(b)) return false
  const forbidden = top[a]
  if (forbidden !== undefined) return !forbidden.includes(b)
  return mayImport[a]?.includes(b) ?? false
}

t.test('imports only go downhill', async (t) => {
  t.ok(imports.length > 100, 'imports were found')
  const climbs = imports.filter((each) => !allowed(each)).map(({ from, to, line }) => `lib/${from}:${line} imports lib/${to}`)
  t.strictSame(climbs, [], 'no climb')
})

t.test('every folder has its place on the hill', async (t) => {
  const known = new Set([...Object.keys(mayImport), ...Object.keys(top), ...beside])
  const folders = new Set(files.map((file) => folderOf(relative(lib, file))))
  t.strictSame(
    [...folders].filter((folder) => !known.has(folder)),
    [],
  )
})

t.test('the header of every folder says what it may import and what it must never know, as the table does', async (t) => {
  for (const folder of [...Object.keys(mayImport), ...Object.keys(top), ...beside]) {
    const header = readFileSync(join(lib, folder, 'index.ts'), 'utf8').split('*/')[0] ?? ''
    if (folder === '') continue // the package's own face
    const [, list] = /May import: ([\s\S]*?)\. Must never know: \S/.exec(header) ?? []
    if (list === undefined) {
      t.fail(`lib/${folder}/index.ts has no header`)
      continue
    }
    const named = list
      .replace(/\([^)]*\)/g, '')
      .split(',')
      .map((name) => name.trim())
    const table = mayImport[folder] ?? []
    if (/^(anything|everything|nothing)/.test(list)) t.equal(/^nothing/.test(list), folder === 'base', folder)
    else if (folder in mayImport)
      t.strictSame(
        named.filter((name) => !table.includes(name)),
        [],
        `lib/${folder}/index.ts`,
      )
  }
})

t.test('no file imports itself through others', async (t) => {
  const next = new Map<string, string[]>()
  // Types may name each other in a circle (a class and the functions it is made of); code that runs may not.
  for (const { from, to } of imports.filter(({ typeOnly }) => !typeOnly)) next.set(from, [...(next.get(from) ?? []), to])
  t.strictSame(cycles(next), [], 'no cycle; a cycle prints its path')
})

t.test('the check itself sees a climb and a cycle', async (t) => {
  const at = { typeOnly: true, line: 1 }
  t.notOk(allowed({ ...at, from: 'base/ids.ts', to: 'model/task.ts' }))
  t.notOk(allowed({ ...at, from: 'agent/agent.ts', to: 'store/store.ts' }))
  t.notOk(allowed({ ...at, from: 'peer/peer.ts', to: 'cli/main.ts' }))
  t.ok(allowed({ ...at, from: 'model/task.ts', to: 'base/ids.ts' }))
  const loop = new Map([
    ['a', ['b']],
    ['b', ['c']],
    ['c', ['b']],
  ])
  t.strictSame(cycles(loop), ['b → c → b'])
})

/** Every cycle met by a depth-first walk, as a path. */
function cycles(next: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    const at = path.indexOf(file)
    if (at >= 0) {
      found.push([...path.slice(at), file].join(' → '))
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const other of next.get(file) ?? []) visit(other)
    path.pop()
    done.add(file)
  }
  for (const file of next.keys()) visit(file)
  return found
}
