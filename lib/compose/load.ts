import { basename, dirname, join, resolve } from 'node:path'
import { messageOf, SkeinError } from '../base/errors.js'
import { checkPayload, payloadBytesMax } from '../model/payload.js'
import type { ServiceSpec } from '../model/service.js'
import { askModel, type WishedConfig } from './configs.js'
import { parseEnvFile } from './env-file.js'
import type { Environment } from './interpolate.js'
import type { StackNetwork } from './networks.js'
import type { Findings, Note } from './notes.js'
import { type ReadFile, readAtMost } from './read-at-most.js'
import { parseStack } from './stack.js'

export interface LoadStackOptions {
  /** The stack's name: services become `STACK_name`. Letters, digits, `-` and `_`, at most 63. */
  readonly stack: string
  /** Variables for `${NAME}`; they win over the `.env` beside the file. Default none. */
  readonly env?: Environment
  /** How files are read; default: from the disk, a pipe until it ends. */
  readonly read?: ReadFile
}

/** A config that a deploy brings into the cluster. */
export interface StackConfig {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly data: Uint8Array
}

/** A stack file, read and checked: every spec in it would be accepted by a cluster. */
export interface Stack {
  readonly name: string
  /** Absolute path of the file. */
  readonly file: string
  readonly services: readonly ServiceSpec[]
  /** Those that the file brings along; what is external is not here. */
  readonly configs: readonly StackConfig[]
  /** Networks of the file that its services use and that are not `external`: made before the services if the cluster lacks them. */
  readonly networks: readonly StackNetwork[]
  /** Keys of the Compose specification this version does not carry out, in the file's order. */
  readonly notHonoured: readonly Note[]
  /** True but perhaps surprising: unset variables, limits that are only recorded. */
  readonly warnings: readonly Note[]
}

const stackNameForm = /^[A-Za-z0-9](?:[-_A-Za-z0-9]{0,61}[A-Za-z0-9])?$/
const sizeBytesMax = 1_048_576

/**
 * Reads a stack file, the `.env` beside it, and the files of its configs. A relative path starts at the file's directory.
 * @throws {SkeinError} ERR_SKEIN_INVALID_STACK with every problem of the file in one message: file, line, key path, remedy;
 *   ERR_SKEIN_INVALID_OPTION for the stack's name
 * @see Compose specification; Docker's `stack deploy` for names and labels
 */
export async function loadStack(file: string, { stack, env = {}, read = readAtMost }: LoadStackOptions): Promise<Stack> {
  if (!stackNameForm.test(stack)) {
    const rule = 'letters, digits, - and _, at most 63, first and last a letter or digit'
    throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `stack: expected ${rule}, got "${stack}"`, { option: 'stack', got: stack })
  }
  const path = resolve(file)
  const dir = dirname(path)
  const text = await readText(file, read)
  const vars = await readDotEnv(join(dirname(file), '.env'), env, read)
  const { services, configs: wished, networks, findings } = parseStack(text, { stack, dir, env: { ...vars, ...env } })
  const configs: StackConfig[] = []
  for (const config of wished) configs.push(await readConfig(config, findings, read))
  if (findings.problems.length > 0) throw refusal(file, findings.problems)
  const { notHonoured, warnings } = findings
  return { name: stack, file: path, services, configs, networks, notHonoured, warnings }
}

async function readConfig({ name, labels, from, at }: WishedConfig, findings: Findings, read: ReadFile): Promise<StackConfig> {
  const data = from.type === 'text' ? Buffer.from(from.text) : await readConfigFile(from.path, { at, findings, read })
  if (data === undefined) return { name, labels, data: new Uint8Array() }
  askModel(at, () => checkPayload('config', data), findings)
  return { name, labels, data }
}

/** Undefined when the file cannot be used; the findings then say why. */
async function readConfigFile(
  path: string,
  { at, findings, read }: { readonly at: WishedConfig['at']; readonly findings: Findings; readonly read: ReadFile },
): Promise<Uint8Array | undefined> {
  try {
    const data = await read(path, payloadBytesMax.config + 1)
    if (data.length <= payloadBytesMax.config) return data
    findings.problems.push({ ...at, why: `${path} is larger than ${payloadBytesMax.config} bytes` })
  } catch (error) {
    findings.problems.push({ ...at, why: `${path} cannot be read (${reasonOf(error)})` })
  }
  return undefined
}

async function readText(file: string, read: ReadFile): Promise<string> {
  let bytes: Uint8Array
  try {
    bytes = await read(file, sizeBytesMax + 1)
  } catch (error) {
    throw new SkeinError(
      'ERR_SKEIN_INVALID_STACK',
      `${file}: cannot be read (${reasonOf(error)}); nothing was created`,
      { file },
      { cause: error },
    )
  }
  if (bytes.length > sizeBytesMax) {
    throw new SkeinError('ERR_SKEIN_INVALID_STACK', `${file}: larger than ${sizeBytesMax} bytes; nothing was created`, { file })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new SkeinError('ERR_SKEIN_INVALID_STACK', `${file}: not UTF-8 text; nothing was created`, { file }, { cause: error })
  }
}

async function readDotEnv(file: string, env: Environment, read: ReadFile): Promise<Readonly<Record<string, string>>> {
  const text = await readText(file, read).catch((error: unknown) => {
    if (error instanceof SkeinError && codeOf(error.cause) === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return {}
  const { vars, problems } = parseEnvFile(text, env)
  if (problems.length > 0) {
    throw refusal(
      file,
      problems.map(({ line, why }) => ({ path: '', line, why })),
    )
  }
  return vars
}

function refusal(file: string, problems: readonly Note[]): SkeinError<'ERR_SKEIN_INVALID_STACK'> {
  const sorted = [...problems].sort((a, b) => a.line - b.line)
  const lines = sorted.map(({ path, line, why }) => `  ${basename(file)}:${line}  ${path === '' ? '' : `${path}: `}${why}`)
  const count = sorted.length === 1 ? '1 problem' : `${sorted.length} problems`
  const first = sorted[0] as Note
  const detail = first.path === '' ? { file, line: first.line } : { file, path: first.path, line: first.line }
  return new SkeinError('ERR_SKEIN_INVALID_STACK', `${file}: ${count}, nothing was created\n${lines.join('\n')}`, detail)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function reasonOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EACCES':
      return 'permission denied'
    case 'EISDIR':
      return 'it is a directory'
    default:
      return messageOf(error)
  }
}
