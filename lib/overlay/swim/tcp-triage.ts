import { connect } from 'node:net'
import type { Clock } from '../../base/clock.js'
import { parseHostPort } from '../../base/host-port.js'
import { afterFairly, evidenceOf } from '../transport/index.js'
import type { Seen } from './member.js'

/** What trying to connect shows of a peer; never rejects. */
export type Triage = (address: string, timeoutMs: number) => Promise<Seen | 'local'>

/**
 * Connects and hangs up: a machine that answers for a process that does not is `accepting`, one that says nobody is there
 * `refused`, and silence is silence.
 */
export function tcpTriage(clock: Clock): Triage {
  return (address, timeoutMs) =>
    new Promise((resolve) => {
      const target = parseHostPort(address)
      if (target === undefined) {
        resolve('local')
        return
      }
      const socket = connect({ host: target.host, port: target.port })
      const finish = (saw: Seen | 'local'): void => {
        cancel()
        socket.destroy()
        resolve(saw)
      }
      const cancel = afterFairly(clock, timeoutMs, () => finish('silent'))
      socket.on('connect', () => finish('accepting'))
      socket.on('error', (error) => finish(asTriage(evidenceOf(error))))
    })
}

function asTriage(evidence: ReturnType<typeof evidenceOf>): Seen | 'local' {
  if (evidence === 'refused' || evidence === 'silent' || evidence === 'local') return evidence
  // Accepted and then cut off: something answers, and nothing more is known.
  return evidence === 'reset' ? 'accepting' : 'local'
}
