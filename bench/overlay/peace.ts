/** What members say of the living, and what peace costs. */
import type { Member, MemberGroup } from './group.js'

/** What happened while all lived. */
export interface Calm {
  readonly falseDead: number
  readonly suspicions: number
  readonly nodeHours: number
}

/** Waits, and counts what was said of members that all live. */
export async function watchPeace(group: MemberGroup, disturb: () => Promise<void>): Promise<Calm> {
  const said = group.words.length
  const beganMs = performance.now()
  await disturb()
  const words = group.words.slice(said)
  return {
    falseDead: words.filter(({ type }) => type === 'failed').length,
    suspicions: words.filter(({ type }) => type === 'suspect').length,
    nodeHours: ((performance.now() - beganMs) * group.size) / 3_600_000,
  }
}

/** Stops each of these in turn, and lets it go on. */
export async function stopInTurn(
  group: MemberGroup,
  members: readonly Member[],
  stoppedMs: number,
  betweenMs: number,
): Promise<void> {
  for (const member of members) {
    group.signal(member, 'SIGSTOP')
    await wait(stoppedMs)
    group.signal(member, 'SIGCONT')
    await wait(betweenMs)
  }
}

/** What one member sends in a second for the sake of membership, on average of all. */
export interface Steady {
  readonly packetsPerSecond: number
  /** Payloads, seals, and the 28 bytes of IP and UDP headers of each datagram. */
  readonly bytesPerSecond: number
  readonly sealedBytesPerSecond: number
}

const headerBytes = 28

export async function countTraffic(group: MemberGroup, forMs: number): Promise<Steady> {
  const totals = async (): Promise<{ readonly packets: number; readonly sealed: number; readonly whole: number }> => {
    const all = await Promise.all(group.members.map((member) => group.counts(member)))
    const sum = (of: (counts: (typeof all)[number]) => number): number => all.reduce((total, counts) => total + of(counts), 0)
    const sealed = sum(({ datagramBytes, linkBytes }) => datagramBytes + linkBytes)
    const datagrams = sum((counts) => counts.datagrams)
    return { packets: datagrams + sum(({ linkMessages }) => linkMessages), sealed, whole: sealed + datagrams * headerBytes }
  }
  const [before, beganMs] = [await totals(), performance.now()]
  await wait(forMs)
  const after = await totals()
  const nodeSeconds = ((performance.now() - beganMs) / 1000) * group.size
  return {
    packetsPerSecond: (after.packets - before.packets) / nodeSeconds,
    bytesPerSecond: (after.whole - before.whole) / nodeSeconds,
    sealedBytesPerSecond: (after.sealed - before.sealed) / nodeSeconds,
  }
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
