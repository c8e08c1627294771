import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** The variable by which a guardian knows the processes of its peer, also those it was never told of. */
export const markVariable = 'SKEIN_GUARD'

const respawnDelayMs = 100

/**
 * Reads `+ GROUP` and `- GROUP` until its input ends, which it does when the peer ends, however. Then it kills
 * the groups it was told of, and every process that carries the mark $1: that closes the moment between a
 * spawn and its report, and finds those that made a session of their own. Again until none is left,
 * for a process may fork while it is being looked for. Last it removes the directory $2, which may hold the tasks' secrets and configs.
 */
const script = `
trap '' HUP INT TERM QUIT USR1 USR2
trap '[ -z "$2" ] || rm -rf -- "$2"' EXIT
groups=' '
while read -r verb group; do
  case $verb in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
[ -r /proc/self/environ ] || exit 0
for round in 1 2 3 4 5 6 7 8; do
  found=$(grep -lsF "$1" /proc/[0-9]*/environ 2>/dev/null)
  [ -n "$found" ] || exit 0
  for file in $found; do
    pid=\${file#/proc/}
    kill -s KILL "\${pid%/environ}" 2>/dev/null
  done
done
`

/**
 * A tiny helper process (a POSIX shell, about 1 MB) that outlives the peer by a moment and takes its tasks along.
 * It holds one end of a pipe; when the peer's end closes (SIGKILL, crash, exit), every process group it was told of is killed.
 * It runs in a session of its own and ignores signals a terminal or a service manager sends around. If it is killed, another takes its place.
 */
export class Guardian {
  readonly #mark: string
  readonly #files: string
  readonly #groups = new Set<number>()
  #shell: ChildProcess | undefined
  #respawn: NodeJS.Timeout | undefined
  #closed = false

  /**
   * @param mark Unique for this start of the peer; tasks carry it in their environment as `markVariable`.
   * @param files Directory that ends with the peer; none when empty.
   */
  constructor(mark: string, files = '') {
    this.#mark = mark
    this.#files = files
  }

  /** Process id of the helper, while one runs. */
  get pid(): number | undefined {
    return this.#shell?.pid
  }

  /** Starts the helper if there is none; call it before the first task is spawned. */
  ensure(): void {
    if (this.#shell !== undefined || this.#closed) return
    clearTimeout(this.#respawn)
    const shell = spawn('/bin/sh', ['-c', script, 'skein-guardian', `${markVariable}=${this.#mark}`, this.#files], {
      detached: true,
      cwd: '/',
      // No mark of its own: neither this guardian nor one of an outer peer may take it for a task.
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#shell = shell
    const startedAt = performance.now()
    let isGone = false
    const gone = (): void => {
      if (isGone) return
      isGone = true
      if (this.#shell === shell) this.#shell = undefined
      if (this.#closed) return
      // At once the first time; one that cannot live at all (no /bin/sh) is not tried in a tight loop.
      if (performance.now() - startedAt > respawnDelayMs) this.ensure()
      else this.#respawn = setTimeout(() => this.ensure(), respawnDelayMs).unref()
    }
    shell.on('error', gone).on('exit', gone)
    // Its pipe breaks when it is killed; `exit` tells.
    shell.stdin.on('error', () => {})
    // Neither keeps the host process alive.
    shell.unref()
    if (shell.stdin instanceof Socket) shell.stdin.unref()
    for (const group of this.#groups) this.#tell(`+ ${group}\n`)
  }

  /** To be called in the same turn in which the group was spawned: libuv writes a small line to a pipe at once. */
  watch(group: number): void {
    this.#groups.add(group)
    this.#tell(`+ ${group}\n`)
  }

  /** The group is empty: its number may be used by others from now on. */
  forget(group: number): void {
    if (this.#groups.delete(group)) this.#tell(`- ${group}\n`)
  }

  /** Resolves when the helper has ended; it kills what is still running. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#respawn)
    const shell = this.#shell
    if (shell === undefined || shell.exitCode !== null || shell.signalCode !== null || shell.pid === undefined) return
    shell.ref()
    const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()))
    shell.stdin?.end()
    await ended
  }

  #tell(line: string): void {
    this.#shell?.stdin?.write(line)
  }
}
