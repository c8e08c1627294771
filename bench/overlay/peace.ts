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

type Counted = Pick<MemberGroup, 'size' | 'members' | 'counts'>

/** What one member sends in a second for the sake of membership, on average of all. */
export interface Steady {
  /** Datagrams, and messages over links. */
  readonly packetsPerSecond: number
  /** Payloads, seals and headers. */
  readonly bytesPerSecond: number
  /** The highest health score that any member had while they were counted: above 0 it sent less than in health. */
  readonly worstScore: number
}

/** Of IP and UDP. */
const datagramHeaderBytes = 28
/** A message over a link, as if it went alone: 35 bytes of frame, channel and TLS record, 52 of IP and TCP. */
const linkHeaderBytes = 87
/** Each look wakes all members. */
const lookEveryMs = 3000

/**
 * Members that were late while so many processes started wait longer and probe less often; resolves when none does any more.
 * @throws when some still do, with their scores
 */
export async function untilHealthy(group: Counted, withinMs: number): Promise<void> {
  for (const endMs = performance.now() + withinMs; ; await wait(lookEveryMs)) {
    const scores = await Promise.all(
      group.members.map(async (member) => ({ ...member, score: (await group.counts(member)).healthScore })),
    )
    const slow = scores.filter(({ score }) => score > 0)
    if (slow.length === 0) return
    if (performance.now() < endMs) continue
    const words = slow.map(({ number, score }) => `member ${number} at ${score}`).join(', ')
    throw new Error(`health scores of all 0: not within ${withinMs / 1000} s, this machine is too busy to count on it (${words})`)
  }
}

export async function countTraffic(group: Counted, forMs: number): Promise<Steady> {
  let worstScore = 0
  const totals = async (): Promise<{ readonly packets: number; readonly bytes: number }> => {
    const all = await Promise.all(group.members.map((member) => group.counts(member)))
    worstScore = Math.max(worstScore, ...all.map(({ healthScore }) => healthScore))
    const sum = (of: (counts: (typeof all)[number]) => number): number => all.reduce((total, counts) => total + of(counts), 0)
    const [datagrams, messages] = [sum((counts) => counts.datagrams), sum(({ linkMessages }) => linkMessages)]
    const payloads = sum(({ datagramBytes, linkBytes }) => datagramBytes + linkBytes)
    return { packets: datagrams + messages, bytes: payloads + datagrams * datagramHeaderBytes + messages * linkHeaderBytes }
  }
  const [before, beganMs] = [await totals(), performance.now()]
  let [after, tookMs] = [before, 0]
  while (tookMs < forMs) {
    await wait(Math.min(lookEveryMs, forMs - tookMs))
    after = await totals()
    tookMs = performance.now() - beganMs
  }
  const nodeSeconds = (tookMs / 1000) * group.size
  return {
    packetsPerSecond: (after.packets - before.packets) / nodeSeconds,
    bytesPerSecond: (after.bytes - before.bytes) / nodeSeconds,
    worstScore,
  }
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
