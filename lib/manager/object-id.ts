import { createHash } from 'node:crypto'

/** 12 characters of [0-9a-z] from a request id: a retried create names the same object. */
export function idFrom(requestId: string): string {
  const digest = createHash('sha256').update(requestId).digest()
  return BigInt(`0x${digest.toString('hex')}`)
    .toString(36)
    .padStart(12, '0')
    .slice(-12)
}
