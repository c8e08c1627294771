/**
 * Cuts that outlast every patience, on real links of one process. For the peers time passes six times as fast: a split of two minutes of
 * theirs takes 20 s of ours. All patiences stand in their usual proportion: heartbeats of 1 s, a grace of 3, a pause tolerance of 30,
 * and 60 for which the brake holds.
 */
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { everybody } from '../../lib/overlay/transport/index.js'
import { HurriedClock } from './hurried-clock.js'
import { areReady, attempts, deployWeb, found, leaderOf, membersOf, type Place, type PlaceWishes } from './places.js'
import { eventually } from './support.js'

const hurry = 6
const pauseToleranceMs = 30_000

/** Elections of two to four hurried seconds: a machine that is busy with other tests must not look like a dead leader. */
const hurried = (clock: HurriedClock): PlaceWishes => ({ clock, options: { timing: { tickMs: 100, electionTicks: 20 } } })

/** What each of them says of its node's state, by name. */
async function said(peer: Peer, of: readonly Place[]): Promise<readonly string[]> {
  const { items } = await peer.nodes.list()
  return of.map(({ name }) => {
    const node = items.find((each) => each.name === name)
    return `${node?.state}: ${node?.why}`
  })
}

const areHeld = async (peer: Peer, silent: readonly Place[]): Promise<boolean> =>
  (await said(peer, silent)).every((words) => words.startsWith('degraded: silent together with many others'))

const executing = (places: readonly Place[]): readonly string[] => places.flatMap((place) => [...place.executing]).sort()
const begun = (places: readonly Place[]): readonly string[] => places.flatMap((place) => place.begun).sort()

t.test(
  'when three of seven nodes fall silent together nothing is moved, under this leader or the next, and nothing when they are back',
  { timeout: 180_000 },
  async (t) => {
    const clock = new HurriedClock(hurry)
    const passed = (endMs: number): Promise<boolean> => eventually('time passes', async () => clock.now() >= endMs)
    const town = await found(t, 3, 4, hurried(clock))
    const old = await leaderOf(town)
    await deployWeb(old.peer, 14)
    const before = await attempts(old.peer)
    const begunBefore = begun(town.places)
    const silent = town.workers.slice(0, 3)
    for (const { executing, name } of silent) t.ok(executing.size > 0, `${name} has tasks`)
    // One alone would be given up by then, at the latest.
    const pastPatienceMs = pauseToleranceMs + 3_000

    const aloneUntilMs = clock.now() + pastPatienceMs
    for (const { faults } of silent) faults.set(everybody, 'silent')
    await eventually('they are held', () => areHeld(old.peer, silent))
    await passed(aloneUntilMs)
    t.ok(await areHeld(old.peer, silent), 'past every patience with one alone')
    t.same(await attempts(old.peer), before)

    old.faults.set(everybody, 'silent')
    const next = await leaderOf({ managers: town.managers.filter((each) => each !== old) })
    const nextAloneUntilMs = clock.now() + pastPatienceMs
    old.faults.heal(everybody)
    await eventually('the old leader follows', async () => old.peer.status().leader === next.peer.id)
    await passed(nextAloneUntilMs)
    t.ok(await areHeld(next.peer, silent), 'past the patience of the next leader too')
    t.same(await attempts(next.peer), before)

    for (const { faults } of silent) faults.heal(everybody)
    await eventually('all are ready', () => areReady(next.peer, 7))
    await eventually('all are members to all', async () => town.places.every((place) => membersOf(place) === 7))
    t.same(await attempts(next.peer), before, 'the same attempts, and no other')
    t.same(begun(town.places), begunBefore, 'no function was begun again')
    t.same(executing(town.places), before.running, 'and none was stopped')
  },
)
