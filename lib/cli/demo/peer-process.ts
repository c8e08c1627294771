/** A peer of the demo: `skein`, but its links go wrong when the demo says so. Only the process that spawned it has the channel to say it. */
import { UdpSocket } from '../../overlay/datagram/index.js'
import { tcpTriage } from '../../overlay/swim/index.js'
import { everybody, LinkFaults, WsTransport } from '../../overlay/transport/index.js'
import { createPeerOver } from '../../peer/peer.js'
import { systemClock } from '../../peer/system-world.js'
import { runCli } from '../run.js'
import { exitWith, systemCliWorld } from '../system.js'

/** Whose links fall silent, or work again; no names: everybody's. */
export interface LinkOrder {
  readonly links: 'silent' | 'healed'
  readonly names: readonly string[]
}

const faults = new LinkFaults()
const network = {
  transport: faults.over(new WsTransport({ clock: systemClock })),
  datagrams: async (address: string) => faults.losing(await UdpSocket.bind(address)),
  triage: faults.trying(tcpTriage(systemClock), systemClock),
}

process.on('message', ({ links, names }: LinkOrder) => {
  for (const name of names.length === 0 ? [everybody] : names) {
    if (links === 'silent') faults.set(name, 'silent')
    else faults.heal(name)
  }
  if (process.connected) process.send?.('done')
})

const world = { ...systemCliWorld(), createPeer: createPeerOver.bind(undefined, network) }
await exitWith(await runCli(process.argv.slice(2), world))
