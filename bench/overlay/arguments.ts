/** Each produces its rows of the table; `--only` chooses among them. */
export const parts = [
  'simulator',
  'formed',
  'killed',
  'traffic',
  'stopped',
  'loss',
  'memberlist',
  'leader-idle',
  'peers-formed',
] as const
export type Part = (typeof parts)[number]

export interface Arguments {
  readonly format: 'text' | 'json'
  /** `full`: as many seeds as the table asks for. */
  readonly form: 'short' | 'full'
  readonly only: ReadonlySet<Part>
  /** Processes of the large group: members alone, or whole peers. */
  readonly members: number
  readonly kills: number
  readonly minutes: number
  /** Figures of the simulator by the name of their target; empty for all. */
  readonly targets: ReadonlySet<string>
  /** Groups the simulator makes; empty for all it has. */
  readonly sizes: ReadonlySet<number>
  /** Which seeds each figure of the simulator takes, also those of `sizes` that the form leaves out; undefined: as many as the form asks for. */
  readonly seeds: readonly number[] | undefined
}

const usage = `known are --format text|json, --sim, --only ${parts.join(',')}, --members N, --kills N, --minutes M, --targets T1,T5, --sizes 3,100, --seeds 2 or 2-4`

/** @throws on anything it does not know, naming it */
export function parse(args: readonly string[]): Arguments {
  const known = {
    format: 'text',
    only: parts.join(','),
    members: '100',
    kills: '20',
    minutes: '10',
    targets: '',
    sizes: '',
    seeds: '',
  }
  let form: Arguments['form'] = 'short'
  for (let at = 0; at < args.length; at++) {
    if (args[at] === '--sim') {
      form = 'full'
      continue
    }
    const [name = '', value] = [args[at]?.replace(/^--/, ''), args[at + 1]]
    if (!Object.hasOwn(known, name) || value === undefined)
      throw new Error(`unknown argument ${args[at]} ${value ?? ''}: ${usage}`)
    known[name as keyof typeof known] = value
    at++
  }
  const { format } = known
  if (format !== 'text' && format !== 'json') throw new Error(`--format ${format}: expected text or json`)
  const only = new Set(known.only.split(',').map(partNamed))
  const members = integer('members', known.members, 5, 1000)
  const targets = new Set(listed(known.targets).map(targetNamed))
  const sizes = new Set(listed(known.sizes).map((size) => integer('sizes', size, 1, 10_000)))
  const [kills, minutes] = [integer('kills', known.kills, 1, 1000), minutesOf(known.minutes)]
  const seeds = known.seeds === '' ? undefined : seedsNamed(known.seeds)
  return { format, form, only, members, kills, minutes, targets, sizes, seeds }
}

function seedsNamed(text: string): number[] {
  const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text) ?? []
  const count = Number(last) - Number(first) + 1
  if (Number(first) >= 1 && count >= 1 && count <= 1000) return Array.from({ length: count }, (_, at) => Number(first) + at)
  throw new Error(`--seeds ${text}: expected one seed from 1, or the first and last of some as in 2-4`)
}

function partNamed(name: string): Part {
  const part = parts.find((one) => one === name)
  if (part === undefined) throw new Error(`--only ${name}: expected some of ${parts.join(',')}`)
  return part
}

function listed(text: string): string[] {
  return text === '' ? [] : text.split(',')
}

function targetNamed(name: string): string {
  if (/^T([1-9]|1[0-7])$/.test(name)) return name
  throw new Error(`--targets ${name}: expected some of T1 to T17, separated by commas`)
}

function integer(name: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw new Error(`--${name} ${text}: expected an integer from ${least} to ${most}`)
}

function minutesOf(text: string): number {
  const number = Number(text)
  if (number > 0 && number <= 1440) return number
  throw new Error(`--minutes ${text}: expected a number above 0, up to 1440`)
}
