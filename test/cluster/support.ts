import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPeer, type Peer, type PeerOptions } from '../../lib/index.js'

/** What these tests use of tap. */
export interface Teardown {
  teardown(act: () => unknown): void
}

/** Elections in tens of milliseconds: these tests wait for events, and this makes them come soon. */
export const quick = { tickMs: 20, electionTicks: 10 }

/** A directory of its own, removed after the test. */
export function freshDir(t: Teardown): string {
  const dir = mkdtempSync(join(tmpdir(), 'skein-test-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** A peer that is stopped after the test. */
export async function startPeer(t: Teardown, options: PeerOptions): Promise<Peer> {
  const peer = await createPeer({ timing: quick, ...options })
  t.teardown(() => peer.stop())
  return peer
}

/** What has not come by then never comes, also where others keep the machine busy. */
export const patienceMs = 60_000

/** Asks again until it holds. @throws after a minute, with the last error or answer */
export async function eventually<T>(what: string, ask: () => Promise<T>): Promise<NonNullable<T>> {
  const endMs = performance.now() + patienceMs
  let last: unknown
  while (performance.now() < endMs) {
    try {
      const answer = await ask()
      if (answer) return answer
      last = answer
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within ${patienceMs} ms: ${what}; last: ${String(last)}`, { cause: last })
}
