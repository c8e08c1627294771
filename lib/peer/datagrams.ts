import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { DatagramLane, type DatagramLaneOptions, type DatagramSocket, UdpSocket } from '../overlay/datagram/index.js'

export interface DatagramWishes extends DatagramLaneOptions {
  /** Where the links listen. */
  readonly address: string
  /** Undefined: UDP. */
  readonly open: ((address: string) => Promise<DatagramSocket>) | undefined
  readonly logger: Logger
}

/** Sealed datagrams on the port number of the links; undefined when the system does not give it: then links alone do. */
export async function openDatagrams({ address, open, logger, ...sealing }: DatagramWishes): Promise<DatagramLane | undefined> {
  try {
    return new DatagramLane(await (open ?? UdpSocket.bind)(address), sealing)
  } catch (error) {
    logger.warn({ address, error: messageOf(error) }, 'no datagrams: UDP cannot be opened on the port of the links')
    return undefined
  }
}

export function datagramMetrics({
  counters,
  keyId,
}: DatagramLane): Readonly<Record<string, number | Readonly<Record<string, number>>>> {
  const { sent, sentBytes, received, receivedBytes, unsealed, localFaults, dropped } = counters
  return {
    skein_datagrams_sent_total: sent,
    skein_datagrams_sent_bytes_total: sentBytes,
    skein_datagrams_received_total: received,
    skein_datagrams_received_bytes_total: receivedBytes,
    skein_datagrams_unsealed_total: unsealed,
    skein_datagrams_local_faults_total: localFaults,
    skein_datagrams_dropped_total: dropped,
    skein_datagrams_key: keyId ?? -1,
  }
}
