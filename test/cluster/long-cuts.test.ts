/**
 * Cuts that outlast every patience, on real links of one process. For the peers time passes six times as fast: a split of two minutes of
 * theirs takes 20 s of ours. All patiences stand in their usual proportion: heartbeats of 1 s, a grace of 3, a pause tolerance of 30,
 * and 60 for which the brake holds.
 */
import t from 'tap'
import type { Peer } from '../../lib/index.js'
import { everybody } from '../../lib/overlay/transport/index.js'
import { HurriedClock } from './hurried-clock.js'
import { areReady, attempts, deployWeb, found, leaderOf, membersOf, type Place, type PlaceWishes, split } from './places.js'
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
/** Of tasks, by id: `<service>.<slot>`. */
const slotsOf = (tasks: readonly string[]): readonly string[] => tasks.map((id) => id.replace(/\.[0-9]+$/, '')).sort()
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
    t.ok(executing(silent).length > 0, 'there are tasks to be moved')
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

t.test(
  'a cluster that was split in two for longer than anything can last is one again, with one execution for each slot',
  { timeout: 180_000 },
  async (t) => {
    // The split lasts some 70 s of the peers: past the grace (3 s), the pause tolerance (30 s), the brake (60 s after the grace, since
    // three of seven are away), the verdicts after it and the replacements. Nothing more would expire in ten minutes.
    const town = await found(t, 3, 4, hurried(new HurriedClock(hurry)))
    const leader = await leaderOf(town)
    const follower = town.managers.find((each) => each !== leader) as Place
    const awayWorkers = town.workers.slice(0, 2) as [Place, Place]
    const away = [follower, ...awayWorkers]
    const home = town.places.filter((place) => !away.includes(place))
    const [keeper] = awayWorkers
    // What can run in one place alone is wanted there still, however long that is away.
    await leader.peer.services.create({
      name: 'rooted',
      mode: { replicas: 1 },
      task: { driver: 'inline', command: ['web'] },
      placement: { constraints: [`node.name == ${keeper.name}`] },
    })
    await eventually('it runs', async () => keeper.executing.size === 1)
    const rooted = [...keeper.executing]
    await deployWeb(leader.peer, 14)
    const [atHome, atAway, slots] = [executing(home), executing(away), slotsOf(executing(town.places))]
    t.ok(atHome.length > 0 && atAway.length > rooted.length, 'both halves have tasks that might move')

    const heal = split(away, home)
    await eventually('the smaller half has no leader', async () => follower.peer.status().leader === undefined)
    await t.rejects(follower.peer.kv.put('who', 'the smaller half', { deadlineMs: 2_000 }), 'and takes no write')
    await leader.peer.kv.put('who', 'the larger half')
    await eventually('the others are given up', async () =>
      (await said(leader.peer, away)).every((words) => words.startsWith('down')),
    )
    // Until records say so too: of two attempts the one that got further by them stays.
    await eventually('all that can is done at home, and nothing else wished', async () => {
      const { running } = await attempts(leader.peer)
      return running.length === 14 && running.join() === executing(home).join()
    })
    const during = executing(home)
    t.same(
      atHome.filter((id) => !during.includes(id)),
      [],
      'what ran there goes on',
    )
    t.same(executing(away), atAway, 'the other half goes on with what it was given')

    heal()
    await eventually('all are ready', () => areReady(leader.peer, 7))
    await eventually('all are members to all', async () => town.places.every((place) => membersOf(place) === 7))
    await eventually('of each slot one is executed', async () => executing(town.places).length === slots.length)
    await eventually('managers follow one leader', async () => {
      const views = town.managers.map(({ peer }) => peer.status())
      return new Set(views.map(({ leader: id, term }) => `${id} ${term}`)).size === 1 && views[0]?.leader !== undefined
    })
    t.equal(town.managers.filter(({ peer }) => peer.leading).length, 1)
    t.same(slotsOf(executing(town.places)), slots)
    t.same(executing(home), during, 'nothing at home was stopped, begun or moved back')
    t.same(executing(away), rooted, 'what was replaced is stopped; what was not goes on')
    t.same(begun(away), atAway, 'and was not begun again')
    const { running } = await attempts(leader.peer)
    t.same(running, during, 'records say the same')
    const kept = await follower.peer.kv.get('who', { stale: true })
    t.equal(kept && Buffer.from(kept.value).toString(), 'the larger half')
  },
)
