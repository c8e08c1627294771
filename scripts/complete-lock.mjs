// Puts back into package-lock.json the optional packages of other platforms that npm left out because the registry at hand
// did not have them when the lock was written. Without their entries `npm ci` refuses the whole lock. Run after `npm install`.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
const systems = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openharmony', 'netbsd', 'openbsd', 'sunos', 'aix']
const processors = ['arm64', 'x64', 'ia32', 'riscv64', 's390x', 'ppc64', 'loong64', 'mips64el', 'arm', 'wasm32']

/** What a platform package's name says it is for: without this npm would try to install it here. */
function platform(name) {
  const words = name.split(/[-/]/)
  const os = systems.filter((system) => words.includes(system))
  const cpu = processors.filter((processor) => words.includes(processor))
  const libc = words.some((word) => word.startsWith('musl'))
    ? ['musl']
    : words.some((word) => word.startsWith('gnu'))
      ? ['glibc']
      : undefined
  return { ...(os.length > 0 && { os }), ...(cpu.length > 0 && { cpu: cpu.slice(0, 1) }), ...(libc && { libc }) }
}

let added = 0
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, wanted] of Object.entries(optionalDependencies)) {
    const places = [`${parent}/node_modules/${name}`, `node_modules/${name}`]
    if (parent === '' || places.some((place) => lock.packages[place] !== undefined)) continue
    const version = wanted.replace(/^[\^~=]/, '')
    const place = platform(name)
    if (!/^\d+\.\d+\.\d+/.test(version) || place.os === undefined) {
      if (place.cpu?.[0] !== 'wasm32') throw new Error(`${parent}: cannot complete ${name}@${wanted}`)
    }
    lock.packages[`node_modules/${name}`] = { version, ...place, ...(dev && { dev }), optional: true }
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`)
console.log(`${added} optional packages put back`)
