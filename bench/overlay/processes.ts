/** The rows measured on members that are processes of this machine. */

import { cpuMsOf } from '../raft/cluster.js'
import { atMost, median, percentile, type Row, skipped, toTell } from '../report.js'
import type { Arguments, Part } from './arguments.js'
import { type Known, killOne } from './crash.js'
import { MemberGroup } from './group.js'
import { loseAtRandom } from './loss.js'
import { killMemberlist, whyNoMemberlist } from './memberlist.js'
import { countTraffic, stopInTurn, untilHealthy, wait, watchPeace } from './peace.js'

const formedMaxMs = 15_000
/** It is processor time, of which a machine that is shared gives now more and now less. */
const formations = 3
const firstMaxMs = 500
const knownMaxMs = 1500
const packetsMax = 3
const bytesMax = 350
const stopped = { members: 5, forMs: 20_000, betweenMs: 3000 } as const
/** Namespaces cost a link each, and ten minutes of a few say more than one minute of many. */
const lossy = { members: 16, rate: 0.2 } as const
const trafficMs = 30_000
/** A member at the worst score probes every nine seconds, and each probe that succeeds lowers it by one. */
const healthyWithinMs = 300_000
/** The group has just formed, and has things to say yet. */
const settleMs = 5000

/** Milliseconds at 3 and 100 members of memberlist 0.2.2 with LAN settings, measured apart: what stands beside ours when it cannot run here. */
const memberlistApart: ReadonlyMap<number, Known> = new Map([
  [3, { firstMs: 6000, allMs: 6000 }],
  [100, { firstMs: 9970, allMs: 10_380 }],
])
const small = 3
/** What the figures of these processes are of. */
const alone = 'members (membership alone)'
/** It takes ten seconds each time, and only stands beside. */
const rivalKillsMax = 5

type Note = (what: string, result: object) => void

/** Those that need one large group share it. */
export async function processRows(
  { only, members, kills, minutes }: Pick<Arguments, 'only' | 'members' | 'kills' | 'minutes'>,
  note: Note,
): Promise<Row[]> {
  const rows: Row[] = []
  const wants = (...names: readonly Part[]): boolean => names.some((name) => only.has(name))
  const rivals = new Map(memberlistApart)
  if (wants('memberlist')) rows.push(...(await memberlistRows([small, members], Math.min(kills, rivalKillsMax), rivals, note)))
  if (wants('killed')) rows.push(...(await smallRows(kills, rivals.get(small), note)))
  if (wants('formed', 'killed', 'traffic', 'stopped')) {
    const formedMs: number[] = []
    const form = async (codeCache: 'none' | 'shared'): Promise<MemberGroup> => {
      const group = await MemberGroup.form({ members, codeCache })
      note('formed', { members, codeCache, ms: group.formedMs, cpuMs: cpuMsOf(group.members.map(({ pid }) => pid)) })
      return group
    }
    if (wants('formed')) {
      const cold = await form('none')
      await cold.stop()
      rows.push(formedRow(`${members} ${alone} started from nothing, no code cache`, [cold.formedMs]))
      await MemberGroup.warm()
      for (let earlier = 1; earlier < formations; earlier++) {
        const group = await form('shared')
        await group.stop()
        formedMs.push(group.formedMs)
      }
    }
    const group = await form('shared')
    try {
      if (wants('formed')) rows.push(formedRow(`${members} ${alone} started with a code cache`, [...formedMs, group.formedMs]))
      if (wants('traffic', 'killed', 'stopped')) await wait(settleMs)
      if (wants('traffic')) rows.push(...(await trafficRows(group)))
      if (wants('stopped')) rows.push(await stoppedRow(group, note))
      if (wants('killed')) rows.push(...(await killedRows(group, kills, rivals.get(members), note)))
    } finally {
      await group.stop()
    }
  }
  if (wants('loss')) rows.push(await lossRow(minutes, note))
  return rows
}

function formedRow(what: string, formedMs: readonly number[]): Row {
  const of = formedMs.length > 1 ? `, median of ${formedMs.length}` : ''
  return atMost(`${what} → each knows all alive${of}, ms`, Math.round(median(formedMs)), formedMaxMs, 'ms')
}

async function trafficRows(group: MemberGroup): Promise<Row[]> {
  await untilHealthy(group, healthyWithinMs)
  const { packetsPerSecond, bytesPerSecond, worstScore } = await countTraffic(group, trafficMs)
  const packets = Math.round(packetsPerSecond * 100) / 100
  const name = `of one of ${group.size} ${alone}`
  const health = `(worst health score meanwhile: ${worstScore})`
  return [
    atMost(`probing in peace, packets/s ${name}`, packets, packetsMax, health),
    atMost(`probing in peace, B/s ${name}, with seals and headers`, Math.round(bytesPerSecond), bytesMax, `B/s ${health}`),
  ]
}

async function stoppedRow(group: MemberGroup, note: Note): Promise<Row> {
  const victims = group.members.slice(-stopped.members)
  const calm = await watchPeace(group, () => stopInTurn(group, victims, stopped.forMs, stopped.betweenMs))
  await group.untilComplete()
  note('stopped', calm)
  const seconds = stopped.forMs / 1000
  return atMost(
    `false deaths while ${stopped.members} of ${group.size} ${alone} are SIGSTOPped for ${seconds} s in turn`,
    calm.falseDead,
    0,
    '',
  )
}

async function killedRows(group: MemberGroup, kills: number, rival: Known | undefined, note: Note): Promise<Row[]> {
  const all: Known[] = []
  // Every one has its turn, those that others came in through as well.
  for (let time = 1; time <= kills; time++) {
    const victim = group.members[(time * 37) % group.size]
    if (victim === undefined) continue
    all.push(await killOne(group, victim))
    note(`killed, ${time} of ${kills}`, all.at(-1) ?? {})
  }
  const name = `one of ${group.size} ${alone} SIGKILLed →`
  const p99Ms = Math.round(
    percentile(
      all.map(({ allMs }) => allMs),
      0.99,
    ),
  )
  return [
    atMost(`${name} the first knows, median of ${kills}, ms`, medianOf(all, 'firstMs'), firstMaxMs, 'ms', rival?.firstMs),
    atMost(`${name} all know, median of ${kills}, ms`, medianOf(all, 'allMs'), knownMaxMs, 'ms', rival?.allMs),
    atMost(`${name} all know, p99, ms`, p99Ms, knownMaxMs, 'ms'),
  ]
}

async function smallRows(kills: number, rival: Known | undefined, note: Note): Promise<Row[]> {
  const group = await MemberGroup.form({ members: small })
  try {
    // Whether an address can be dialled is found out when a link stands; whoever dies before that is given two seconds.
    await wait(settleMs)
    return await killedRows(group, kills, rival, note)
  } finally {
    await group.stop()
  }
}

/** Puts what was measured here in the place of what was measured apart. */
async function memberlistRows(sizes: readonly number[], kills: number, rivals: Map<number, Known>, note: Note): Promise<Row[]> {
  const why = whyNoMemberlist()
  if (why !== undefined) return [skipped('memberlist in the same run', '–', why)]
  const rows: Row[] = []
  for (const members of sizes) {
    const all = await killMemberlist(members, kills, (time, known) => note(`memberlist, ${members}, killed ${time}`, known))
    const known = { firstMs: medianOf(all, 'firstMs'), allMs: medianOf(all, 'allMs') }
    rivals.set(members, known)
    const name = `memberlist in this run, one of ${members} SIGKILLed →`
    rows.push(
      { ...toTell(`${name} the first knows, median of ${kills}, ms`, 0, known.firstMs, 'less'), skein: null, ratio: null },
      { ...toTell(`${name} all know, median of ${kills}, ms`, 0, known.allMs, 'less'), skein: null, ratio: null },
    )
  }
  return rows
}

function medianOf(all: readonly Known[], field: keyof Known): number {
  return Math.round(median(all.map((known) => known[field])))
}

async function lossRow(minutes: number, note: Note): Promise<Row> {
  const { members, rate } = lossy
  const figure = `false deaths in ${minutes} min at ${100 * rate} % loss, ${members} ${alone} in namespaces`
  const calm = await loseAtRandom(members, rate, minutes * 60_000)
  if ('skipped' in calm) return skipped(figure, '≤ 0', calm.skipped)
  note('loss', calm)
  return atMost(figure, calm.falseDead, 0, '')
}
