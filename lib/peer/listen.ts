import { messageOf, SkeinError } from '../base/errors.js'
import { formatHostPort } from '../base/host-port.js'
import type { Logger } from '../base/logger.js'
import type { NodeRole } from '../model/node.js'
import {
  addressToAdvertise,
  type InterfaceAddress,
  type LinkHost,
  type LinkOptions,
  LinkPool,
  parseAddress,
  parseListen,
} from '../overlay/transport/index.js'

export interface ListenWishes {
  /** As the options say; undefined: anywhere. */
  readonly listen: string | undefined
  readonly advertise: string | undefined
  /** Where this peer listened before; undefined, or '': nowhere. */
  readonly last: string | undefined
  readonly logger: Logger
}

/** Where a peer listens that only dials out. */
export const nowhere = 'none'

/** Links taken at `listen`, and dialled. @throws {SkeinError} ERR_SKEIN_PORT_IN_USE, ERR_SKEIN_INVALID_OPTION (a manager that listens nowhere) */
export async function openPool(listen: string, role: NodeRole, host: LinkHost, options: LinkOptions): Promise<LinkPool> {
  if (listen !== nowhere) return await LinkPool.listen(host, { ...options, listen })
  if (role === 'worker') return LinkPool.client(host, options)
  const words = `listen: the others dial a manager; give it an address to listen on, or join with a worker's token`
  throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'listen', got: listen })
}

/** Where others reach this peer; '' when it only dials out. @throws {SkeinError} ERR_SKEIN_INVALID_OPTION */
export function advertisedAddress(
  pool: Pick<LinkPool, 'address'>,
  advertise: string | undefined,
  interfaces: readonly InterfaceAddress[],
): string {
  return pool.address === '' ? '' : addressToAdvertise(pool.address, advertise, interfaces)
}

/** Listens on the wished address; a peer that comes back without one tries its last, so that others find it again. */
export async function listenAgain(
  open: (listen: string) => Promise<LinkPool>,
  { listen, advertise, last, logger }: ListenWishes,
): Promise<LinkPool> {
  const free = listen === undefined || listen.endsWith(':0')
  if (last === undefined || last === '' || !free || advertise !== undefined) return await open(listen ?? '127.0.0.1:0')
  // Of the last address only the port where a host is wished: behind a wildcard stands one that was found.
  const { host, port } = parseAddress(last)
  const address = formatHostPort({ host: listen === undefined ? host : parseListen(listen).host, port })
  try {
    return await open(address)
  } catch (error) {
    logger.warn({ address, error: messageOf(error) }, 'the last address is taken; listening on another')
    return await open(listen ?? '127.0.0.1:0')
  }
}
