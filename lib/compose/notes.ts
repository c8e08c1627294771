/** Something to say about one place of a stack file. */
export interface Note {
  /** Key path: `services.web.deploy.replicas`, `services.web.command[2]`. */
  readonly path: string
  /** Line in the file, from 1. */
  readonly line: number
  readonly why: string
}

/** Everything found while reading one file: reading goes on after a problem, so that one run names them all. */
export interface Findings {
  /** Any of these refuses the file. */
  readonly problems: Note[]
  /** Keys of the Compose specification this version does not carry out. */
  readonly notHonoured: Note[]
  /** True but perhaps surprising. */
  readonly warnings: Note[]
}

export function noFindings(): Findings {
  return { problems: [], notHonoured: [], warnings: [] }
}

export function pathTo(parent: string, key: string | number): string {
  if (typeof key === 'number') return `${parent}[${key}]`
  return parent === '' ? key : `${parent}.${key}`
}
