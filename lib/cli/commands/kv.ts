import { type Command, InvalidArgumentError } from 'commander'
import { SkeinError } from '../../base/errors.js'
import { type Act, addSharedOptions } from '../command.js'
import { type ExitCode, exitCodes } from '../exit-codes.js'
import { count } from '../flags.js'
import type { Column } from '../print.js'
import type { Session } from '../session.js'
import { removeEach } from './remove-each.js'

export function addKvCommands(program: Command, act: Act): void {
  const kv = program.command('kv').description('small replicated values')
  const add = (usage: string, words: string): Command => addSharedOptions(kv.command(usage).description(words))
  add('get <key>', 'print the value, byte for byte').option('--stale', 'also from a manager without a quorum').action(act(get))
  add('put <key> <value>', 'set a value; - reads it from stdin')
    .option('--if-version <version>', 'only if the key is at this version; 0 or absent: only if there is none', versionOrAbsent)
    .action(act(put))
  add('ls [prefix]', 'list keys').action(act(list))
  add('rm <key...>', 'remove keys').action(act(remove))
}

interface Entry {
  readonly key: string
  readonly value: Uint8Array
  readonly version: number
}

const columns: readonly Column<Entry>[] = [
  { head: 'KEY', text: ({ key }) => key },
  { head: 'VERSION', text: ({ version }) => String(version) },
  { head: 'BYTES', text: ({ value }) => String(value.length) },
  { head: 'VALUE', text: ({ value }) => new TextDecoder().decode(value) },
]

function versionOrAbsent(text: string): number | 'absent' {
  if (text === 'absent') return text
  const version = /^\d+$/.test(text) ? count(text) : undefined
  if (version === undefined) throw new InvalidArgumentError('Expected a version number or absent.')
  return version === 0 ? 'absent' : version
}

async function get(session: Session, key: string, options: { readonly stale?: boolean }): Promise<ExitCode> {
  const { kv } = await session.cluster()
  const found = await kv.get(key, { ...session.call, ...(options.stale === undefined ? {} : { stale: options.stale }) })
  if (found === undefined) throw noSuchKey(key)
  if (session.output.options.format === 'table') session.output.bytes(found.value)
  else session.output.value({ key, ...found }, key, key)
  return exitCodes.done
}

async function put(
  session: Session,
  key: string,
  value: string,
  options: { readonly ifVersion?: number | 'absent' },
): Promise<ExitCode> {
  const content = value === '-' ? await session.world.readStdin() : value
  const { kv } = await session.cluster()
  const condition = options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion }
  const version = await kv.put(key, content, { ...session.call, ...condition })
  session.output.value({ key, version }, `${key} is at version ${version}`, String(version))
  return exitCodes.done
}

async function list(session: Session, prefix = ''): Promise<ExitCode> {
  const { kv } = await session.cluster()
  const items: Entry[] = []
  for await (const entry of kv.list(prefix, session.call)) items.push(entry)
  const version = items.reduce((newest, entry) => Math.max(newest, entry.version), 0)
  session.output.list({ items, version, stale: false }, columns, ({ key }) => key)
  return exitCodes.done
}

async function remove(session: Session, keys: readonly string[]): Promise<ExitCode> {
  const { kv } = await session.cluster()
  return removeEach(session, keys, async (key) => {
    // Deleting what is not there succeeds; a person who mistyped a key wants to know.
    if ((await kv.get(key, session.call)) === undefined) throw noSuchKey(key)
    await kv.delete(key, session.call)
  })
}

function noSuchKey(key: string): SkeinError<'ERR_SKEIN_NOT_FOUND'> {
  return new SkeinError('ERR_SKEIN_NOT_FOUND', `no key "${key}"; skein kv ls lists what there is`, { kind: 'kv', ref: key })
}
