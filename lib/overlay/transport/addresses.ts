import { SkeinError } from '../../base/errors.js'
import { formatHostPort, type HostPort, parseHostPort } from '../../base/host-port.js'

/** An address of this machine, as `os.networkInterfaces()` lists them. */
export interface InterfaceAddress {
  readonly address: string
  readonly family: string
  readonly internal: boolean
}

const wildcards = new Set(['0.0.0.0', '::', '::0'])

/** Reads what to listen on: `host:port`, port 0 for a free one. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function parseListen(text: string): HostPort {
  const address = parseHostPort(text)
  if (address !== undefined) return address
  throw new SkeinError(
    'ERR_SKEIN_INVALID_OPTION',
    `listen: expected host:port (port 0 takes a free one, IPv6 in brackets), got "${text}"`,
    { option: 'listen', got: text },
  )
}

/** Reads where to dial: `host:port`, port from 1. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function parseAddress(text: string, option = 'address'): HostPort {
  const address = parseHostPort(text)
  if (address !== undefined && address.port > 0) return address
  throw new SkeinError('ERR_SKEIN_INVALID_OPTION', `${option}: expected host:port with a port from 1, got "${text}"`, {
    option,
    got: text,
  })
}

/**
 * The `host:port` others should dial: `advertise` (its port 0 means the bound one), else the bound address; a wildcard
 * host becomes this machine's first outside address (IPv4 before IPv6), or loopback when it has none.
 * @throws {SkeinError} ERR_SKEIN_INVALID_OPTION
 */
export function addressToAdvertise(
  bound: string,
  advertise: string | undefined,
  interfaces: readonly InterfaceAddress[],
): string {
  const { host, port } = parseAddress(bound, 'listen')
  if (advertise !== undefined) {
    const wanted = parseHostPort(advertise)
    if (wanted === undefined || wildcards.has(wanted.host)) {
      throw new SkeinError(
        'ERR_SKEIN_INVALID_OPTION',
        `advertise: expected host:port that other machines can dial, got "${advertise}"`,
        { option: 'advertise', got: advertise },
      )
    }
    return formatHostPort({ host: wanted.host, port: wanted.port === 0 ? port : wanted.port })
  }
  if (!wildcards.has(host)) return formatHostPort({ host, port })
  const outside = interfaces.filter(({ internal, address }) => !internal && !address.toLowerCase().startsWith('fe80:'))
  const best = outside.find(({ family }) => family === 'IPv4') ?? outside[0]
  return formatHostPort({ host: best?.address ?? '127.0.0.1', port })
}
