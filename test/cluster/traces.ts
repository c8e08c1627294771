/** Looks for a text that must not be there, however it may be written. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection, ConnectionUser, Transport } from '../../lib/overlay/transport/index.js'

/** Bytes of the text that are looked for: few enough that no block, line or column ends among them often. */
const lookedForBytes = 24

/** The beginning of a text as it is, in hex, as lists of numbers, and in base64 wherever in its bytes that began. */
export function tracesOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text).subarray(0, lookedForBytes)
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].map((shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    // What depends on the bytes around it is left out at both ends.
    return whole.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6))
  })
  const texts = [
    hex,
    hex.toUpperCase(),
    hex.replace(/(..)(?!$)/g, '$1 '), // as Node prints a Buffer
    [...bytes].join(','),
    ...base64,
    ...base64.map((each) => each.replaceAll('+', '-').replaceAll('/', '_')),
  ]
  return [bytes, ...new Set(texts)].map((each) => Buffer.from(each))
}

export function hasTrace(where: Uint8Array | string, text: string): boolean {
  // Node aligns the numbers of a list in columns.
  const bytes = Buffer.from(typeof where === 'string' ? where.replace(/,\s+/g, ',') : where)
  return tracesOf(text).some((trace) => bytes.includes(trace))
}

/** Every file under these directories that shows a trace of the text. */
export function filesWith(text: string, dirs: readonly string[]): string[] {
  return filesUnder(dirs).filter((file) => hasTrace(ifThere(() => readFileSync(file)) ?? '', text))
}

export function filesUnder(dirs: readonly string[]): string[] {
  return dirs.flatMap((dir) =>
    (ifThere(() => readdirSync(dir, { withFileTypes: true })) ?? []).flatMap((entry) => {
      const path = join(dir, entry.name)
      return entry.isDirectory() ? filesUnder([path]) : entry.isFile() ? [path] : []
    }),
  )
}

/** Undefined when the file went away meanwhile, as those of a running database do. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Every byte that the links of one peer carry, either way, as they are before TLS hides them. */
export class Recorder {
  readonly #said: Buffer[] = []

  get bytes(): Buffer {
    return Buffer.concat(this.#said)
  }

  over(transport: Transport): Transport {
    return {
      dial: async (address, credentials, signal) => this.#hear(await transport.dial(address, credentials, signal)),
      listen: (address, credentials, accept) =>
        transport.listen(address, credentials, (connection) => accept(this.#hear(connection))),
    }
  }

  #hear(connection: Connection): Connection {
    const note = (message: Uint8Array): void => void this.#said.push(Buffer.from(message))
    const own: Pick<Connection, 'open' | 'send'> = {
      open: (user: ConnectionUser) =>
        connection.open({
          message: (bytes) => {
            note(bytes)
            user.message(bytes)
          },
          drained: () => user.drained(),
          closed: (end) => user.closed(end),
        }),
      send: (message) => {
        note(message)
        connection.send(message)
      },
    }
    return new Proxy(connection, {
      get(target, key) {
        if (key === 'open' || key === 'send') return own[key]
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
