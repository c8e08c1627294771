import { constants as fsConstants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { constants as osConstants } from 'node:os'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { SkeinError } from '../../base/errors.js'
import type { Assigned } from '../driver.js'

/** A task's command with everything about it looked up and found usable. */
export interface ReadyCommand {
  /** Absolute path of the file that is run. */
  readonly file: string
  /** As the user wrote it; the process sees it as its own name. */
  readonly name: string
  readonly args: readonly string[]
  readonly workingDir: string
  readonly env: Readonly<Record<string, string>>
  readonly stopSignal: NodeJS.Signals
}

/** What a task inherits from the peer; everything else of the peer's environment stays with the peer. */
const inherited = ['PATH', 'HOME', 'LANG', 'TMPDIR'] as const

/** Inherited base, then the task's own, then who it is. */
export function environmentOf(task: Assigned, peerEnv: NodeJS.ProcessEnv): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of inherited) {
    const value = peerEnv[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...task.spec.env, SKEIN_TASK: task.id, SKEIN_SERVICE: task.service, SKEIN_SLOT: task.slot }
}

/** @throws {SkeinError} ERR_SKEIN_TASK_REJECTED saying what is wrong with command, working directory or stop signal on this node */
export async function readyCommand(task: Assigned, peerEnv: NodeJS.ProcessEnv): Promise<ReadyCommand> {
  const env = environmentOf(task, peerEnv)
  const [name, ...args] = task.spec.command
  if (name === undefined || name === '') throw rejected(task, 'no command: the process driver needs one')
  const stopSignal = signalNamed(task, task.spec.stopSignal)
  const workingDir = await usableDir(task, task.spec.workingDir ?? process.cwd())
  const file = name.includes('/')
    ? await usableFile(task, name, resolve(workingDir, name))
    : await findOnPath(task, name, env.PATH ?? '', workingDir)
  return { file, name, args, workingDir, env, stopSignal }
}

function signalNamed(task: Assigned, name: string): NodeJS.Signals {
  if (Object.hasOwn(osConstants.signals, name)) return name as NodeJS.Signals
  throw rejected(task, `stop signal "${name}" is unknown on this node; expected a name like SIGTERM`)
}

async function usableDir(task: Assigned, dir: string): Promise<string> {
  if (!isAbsolute(dir)) throw rejected(task, `working directory ${dir} is not absolute`)
  const kind = await kindOf(dir)
  if (kind === 'dir') return dir
  throw rejected(
    task,
    kind === 'file' ? `working directory ${dir} is not a directory` : `working directory ${dir} does not exist on this node`,
  )
}

async function usableFile(task: Assigned, name: string, file: string): Promise<string> {
  const kind = await kindOf(file)
  if (kind === 'none') throw rejected(task, `command "${name}" not found (looked for ${file})`)
  if (kind === 'dir') throw rejected(task, `command "${name}" is a directory (${file})`)
  if (!(await isExecutable(file))) throw rejected(task, `command "${name}" is not executable (chmod +x ${file})`)
  return file
}

/** First executable file of the name, as execvp(3) looks; a file that is there but not executable is remembered for the message. */
async function findOnPath(task: Assigned, name: string, path: string, workingDir: string): Promise<string> {
  let unusable: string | undefined
  for (const dir of path.split(delimiter)) {
    const file = join(resolve(workingDir, dir), name)
    if ((await kindOf(file)) !== 'file') continue
    if (await isExecutable(file)) return file
    unusable ??= file
  }
  if (unusable !== undefined) throw rejected(task, `command "${name}" is not executable (chmod +x ${unusable})`)
  throw rejected(task, `command "${name}" not found on PATH`)
}

async function kindOf(path: string): Promise<'file' | 'dir' | 'none'> {
  try {
    return (await stat(path)).isDirectory() ? 'dir' : 'file'
  } catch {
    return 'none' // absent, or behind a directory we may not enter: for the task it is the same
  }
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, fsConstants.X_OK)
    return true
  } catch {
    return false // the answer itself
  }
}

function rejected(task: Assigned, why: string): SkeinError {
  return new SkeinError('ERR_SKEIN_TASK_REJECTED', why, { task: task.id })
}
