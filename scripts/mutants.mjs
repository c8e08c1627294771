// Breaks raft/core or raft/wal in one rule at a time and tells which layer of tests notices: the table is in scripts/mutants/.
// Exit code 1: a safety mutant survived, a mutant no longer applies, or the core as it is does not pass. 2: wrong arguments.
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { mutants as table } from './mutants/index.mjs'

const usage = `usage: npm run mutants -- [--only NAME]... [--layers conformance,paper,core,sim,wal] [--seeds N] [--jobs N]
                       [--short] [--stop-at-kill] [--format table|json] [--built DIR] [--list]
  --only NAME      mutants whose name contains NAME
  --seeds N        seeds of the simulator for each mutant, besides the kept ones (400)
  --short          the mutants of the test run
  --stop-at-kill   first the file of tests that noticed it before, and only if it no longer does the layers, up to the first that notices
  --built DIR      where the compiled project is (dist)`

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const conformance = process.env.SKEIN_RAFT_CONFORMANCE ?? join(root, '..', 'shared', 'raft-conformance')
const copied = {
  'lib/raft/core': [
    'lib/base',
    'lib/raft/core',
    'lib/sim',
    'test/raft/core',
    'test/paper/raft-paper.test.js',
    'test/sim/raft-seeds.js',
  ],
  'lib/raft/wal': ['lib/base', 'lib/wire', 'lib/storage', 'lib/raft/core', 'lib/raft/wal', 'test/raft/wal'],
}
const contracts = ['test/raft/contract.js', 'test/raft/checked-contract.js']
/** A mutant may hang; what the unbroken core does in a fraction of this is not waited for longer. */
const HANG_FACTOR = 10
const HANG_MIN_MS = 20_000

/** What each layer runs in the folder of one mutant. */
const commands = {
  conformance: (folder) => {
    const scripts = readdirSync(join(conformance, 'testdata')).filter((name) => name.endsWith('.txt'))
    const files = scripts.map((name) => join(conformance, 'testdata', name))
    return [join(conformance, 'run.mjs'), '--core', join(folder, 'test/raft/contract.js'), '--mode', 'strict', ...files]
  },
  paper: (folder) => tests(folder, 'test/paper'),
  core: (folder) => tests(folder, 'test/raft/core'),
  wal: (folder) => tests(folder, 'test/raft/wal', ['real-disk.test.js', 'inspect.test.js']),
  sim: (folder) => [join(root, 'scripts/mutants/run-seeds.mjs'), folder, String(options.seeds)],
}

/** Each mutant concerns the layers that look at its folder. */
function layersOf({ folder }) {
  return layers.filter((layer) => (layer === 'wal') === (folder === 'lib/raft/wal'))
}

function tests(folder, path, without = []) {
  const files = readdirSync(join(folder, path)).filter((name) => name.endsWith('.test.js') && !without.includes(name))
  return testsIn(
    folder,
    files.map((name) => join(path, name)),
  )
}

function testsIn(folder, files) {
  return [join(root, 'scripts/mutants/run-tests.mjs'), ...files.map((file) => join(folder, file))]
}

function layerOfFile(path) {
  if (path.startsWith('test/paper/')) return 'paper'
  return path.startsWith('test/raft/wal/') ? 'wal' : 'core'
}

const options = readArguments()
const { compilerOptions } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config
const base = join(root, 'dist-mutants')
const stale = table.map((mutant) => [mutant.name, whyStale(mutant)]).filter(([, reason]) => reason !== undefined)
for (const [name, reason] of stale) console.error(`stale mutant '${name}': ${reason}`)
if (stale.length > 0) process.exit(1)
if (options.list) {
  for (const { name, folder, file, safety, section } of table)
    console.log(`${safety ? 'safety' : '      '}  ${name}  (${folder}/${file}, ${section})`)
  process.exit(0)
}

const children = new Set()
mkdirSync(base, { recursive: true })
const work = mkdtempSync(join(base, 'run-'))
process.on('exit', cleanUp)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const layers = options.layers.filter((layer) => layer !== 'conformance' || existsSync(join(conformance, 'testdata')))
if (layers.length < options.layers.length) console.error(`no etcd scripts at ${conformance}: the layer conformance is left out`)
const asked = table.filter(isAsked)
/** What the unbroken core took longest for, and so how long a mutant may. */
let hangMs = HANG_MIN_MS
const checked = new Map()
const folders = [...new Set(asked.map(({ folder }) => folder))]
for (const of of folders) await (options['stop-at-kill'] ? checkNoticers(of) : checkLayers(of))
const results = await runAll()
const survivors = results.filter(({ killedBy }) => killedBy.length === 0)
if (options.format === 'json') console.log(JSON.stringify({ layers, seeds: options.seeds, mutants: results }, undefined, 2))
else printTable()
process.exitCode = survivors.some(({ safety }) => safety) ? 1 : 0

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        layers: { type: 'string', default: Object.keys(commands).join() },
        seeds: { type: 'string', default: '400' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        short: { type: 'boolean', default: false },
        'stop-at-kill': { type: 'boolean', default: false },
        format: { type: 'string', default: 'table' },
        built: { type: 'string', default: join(root, 'dist') },
        list: { type: 'boolean', default: false },
      },
    })
    const layers = values.layers.split(',')
    const unknown = layers.find((layer) => !Object.hasOwn(commands, layer))
    if (unknown !== undefined) throw new Error(`--layers: expected some of ${Object.keys(commands)}, got ${unknown}`)
    if (values.format !== 'table' && values.format !== 'json')
      throw new Error(`--format: expected table or json, got ${values.format}`)
    const nothing = values.only.find((part) => !table.some(({ name }) => name.includes(part)))
    if (nothing !== undefined) throw new Error(`--only: no mutant has '${nothing}' in its name; --list shows them`)
    return { ...values, layers, seeds: whole('seeds', values.seeds, 0), jobs: whole('jobs', values.jobs, 1) }
  } catch (error) {
    console.error(`${error.message}\n${usage}`)
    process.exit(2)
  }
}

function whole(name, text, from) {
  if (/^\d{1,9}$/.test(text) && Number(text) >= from) return Number(text)
  throw new Error(`--${name}: expected a whole number from ${from}, got ${text}`)
}

function isAsked({ name, short, folder }) {
  return (
    layersOf({ folder }).length > 0 &&
    (!options.short || short) &&
    (options.only.length === 0 || options.only.some((part) => name.includes(part)))
  )
}

/** Why a mutant cannot be made of the core as it is; undefined if it can. */
function whyStale({ name, folder, file, find, replace }) {
  if (table.filter((other) => other.name === name).length > 1) return 'its name is taken'
  if (replace === find) return 'it changes nothing'
  const path = join(root, folder, file)
  if (!existsSync(path)) return `${folder}/${file} is not there`
  const times = readFileSync(path, 'utf8').split(find).length - 1
  return times === 1 ? undefined : `its text is ${times} times in ${folder}/${file}, not once: ${find}`
}

/** JavaScript of the file that the mutant breaks. */
function breakFile({ name, folder, file, find, replace }) {
  const source = readFileSync(join(root, folder, file), 'utf8')
    .split(find)
    .join(replace)
  const { outputText, diagnostics } = ts.transpileModule(source, {
    compilerOptions: { ...compilerOptions, module: 'esnext', moduleResolution: 'bundler', sourceMap: false, declaration: false },
    reportDiagnostics: true,
  })
  const wrong = diagnostics.find(({ category }) => category === ts.DiagnosticCategory.Error)
  if (wrong === undefined) return outputText
  console.error(`mutant '${name}' does not compile: ${ts.flattenDiagnosticMessageText(wrong.messageText, ' ')}`)
  process.exit(1)
}

/** Copies what the layers of `of` need; with `mutant`, its file is the broken one. */
function makeFolder(of, mutant) {
  const folder = mkdtempSync(join(work, 'mutant-'))
  for (const path of [...copied[of], ...(of === 'lib/raft/core' ? contracts : [])]) {
    cpSync(join(resolve(options.built), path), join(folder, path), {
      recursive: true,
      filter: (from) => !from.endsWith('.map') && !from.endsWith('.d.ts'),
    })
  }
  if (mutant !== undefined) writeFileSync(join(folder, of, mutant.file.replace(/ts$/, 'js')), breakFile(mutant))
  return folder
}

/** That a test fails on a mutant says something only if it passes without; how long that takes bounds the wait for the others. */
async function checkUnbroken(of, commandsOf) {
  const folder = makeFolder(of)
  for (const [name, command] of Object.entries(commandsOf(folder))) {
    const { killer, ms } = await runTests(command, 600_000)
    if (killer !== undefined) {
      console.error(`${of} as it is fails in ${name}: ${killer}`)
      process.exit(1)
    }
    hangMs = Math.max(hangMs, ms * HANG_FACTOR)
  }
  rmSync(folder, { recursive: true })
}

/** Once, when the first mutant needs the layers of this folder. */
function checkLayers(of) {
  const commandsOf = (folder) => Object.fromEntries(layersOf({ folder: of }).map((layer) => [layer, commands[layer](folder)]))
  if (!checked.has(of)) checked.set(of, checkUnbroken(of, commandsOf))
  return checked.get(of)
}

/** The files that noticed the asked mutants before, all in one process. */
function checkNoticers(of) {
  const files = [
    ...new Set(asked.filter((mutant) => mutant.folder === of && hasNoticer(mutant)).map(({ noticedBy }) => noticedBy)),
  ]
  return checkUnbroken(of, (folder) => (files.length === 0 ? {} : { [files.join()]: testsIn(folder, files) }))
}

function hasNoticer({ noticedBy, folder }) {
  return noticedBy !== undefined && layersOf({ folder }).includes(layerOfFile(noticedBy))
}

async function runAll() {
  const results = new Array(asked.length)
  let next = 0
  const worker = async () => {
    while (next < asked.length) {
      const at = next++
      results[at] = await runMutant(asked[at])
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, worker))
  return results
}

async function runMutant(mutant) {
  const { name, file, safety, section, noticedBy } = mutant
  const folder = makeFolder(mutant.folder, mutant)
  const outcomes = {}
  const killedBy = []
  const run = async (layer, command) => {
    const { killer, ms } = await runTests(command, hangMs)
    outcomes[layer] = { killed: killer !== undefined, ms, ...(killer === undefined ? {} : { killer }) }
    if (killer !== undefined) killedBy.push(layer)
  }
  const isOver = () => options['stop-at-kill'] && killedBy.length > 0
  if (options['stop-at-kill'] && hasNoticer(mutant)) await run(layerOfFile(noticedBy), testsIn(folder, [noticedBy]))
  if (!isOver()) await checkLayers(mutant.folder)
  for (const layer of layersOf(mutant)) {
    if (!isOver()) await run(layer, commands[layer](folder))
  }
  rmSync(folder, { recursive: true })
  return { name, file, section, safety, killedBy, layers: outcomes }
}

/** `killer` is the first test that failed, which ends the run; undefined if all passed. */
function runTests(command, timeoutMs) {
  const startedAt = performance.now()
  return new Promise((done) => {
    const env = { ...process.env, TAP_TIMEOUT: '0' } // the limit is ours: how slow this machine is says nothing of the mutant
    const child = spawn(process.execPath, command, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    children.add(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        if (output.length < 1_000_000) output += text
        if (failures(output).length > 0) child.kill('SIGKILL')
      })
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      children.delete(child)
      const ms = Math.round(performance.now() - startedAt)
      if (code === 0) done({ ms })
      else done({ ms, killer: signal === 'SIGKILL' && failures(output).length === 0 ? 'it hangs' : firstFailure(output) })
    })
  })
}

/** Whole lines that say that something failed; of tests the innermost comes first. */
function failures(output) {
  return output.match(/^(?:\s*not ok \d|FAIL).*(?=\n)/gm) ?? []
}

function firstFailure(output) {
  const innermost = failures(output)[0] ?? output.trim().split('\n')[0] ?? ''
  return innermost
    .trim()
    .replace(/^not ok \d+ - /, '')
    .slice(0, 120)
}

function printTable() {
  const width = Math.max(...results.map(({ name }) => name.length))
  console.log(`${'mutant'.padEnd(width)}  rule    ${layers.map((layer) => layer.padEnd(16)).join('')}`)
  for (const { name, safety, killedBy, layers: outcomes } of results) {
    const cells = layers.map((layer) => cell(outcomes[layer]).padEnd(16)).join('')
    console.log(
      `${name.padEnd(width)}  ${safety ? 'safety' : 'other '}  ${cells}${killedBy.length === 0 ? 'SURVIVED' : ''}`.trimEnd(),
    )
  }
  for (const layer of layers) {
    const killed = results.filter(({ killedBy }) => killedBy.includes(layer))
    const seconds = results.reduce((sum, { layers: outcomes }) => sum + (outcomes[layer]?.ms ?? 0), 0) / 1_000
    const asked = results.filter(({ layers: outcomes }) => outcomes[layer] !== undefined)
    console.log(`${layer}: ${killed.length} of ${asked.length} noticed, ${seconds.toFixed(0)} s`)
  }
  for (const kind of ['safety', 'other']) {
    const ofKind = results.filter(({ safety }) => safety === (kind === 'safety'))
    const killed = ofKind.filter(({ killedBy }) => killedBy.length > 0)
    console.log(`rules, ${kind}: ${killed.length} of ${ofKind.length} killed`)
  }
}

function cell(outcome) {
  if (outcome === undefined) return '-'
  return `${outcome.killed ? 'killed' : 'passed'} ${(outcome.ms / 1_000).toFixed(1)} s`
}

function cleanUp() {
  for (const child of children) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
  try {
    rmdirSync(base)
  } catch {
    // Another run is at work in it, or it is gone.
  }
}
