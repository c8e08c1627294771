import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { judgeNodes } from '../../lib/dispatcher/node-verdicts.js'
import { rotateKeyring } from '../../lib/model/keyring.js'
import { eventually } from '../cluster/support.js'
import { firstRing, type Resident, secret, Town } from './town.js'

const settings = { heartbeatMs: 1_000, graceFactor: 3, pauseToleranceMs: 30_000 }

/** What a leader at `observer` would conclude of everybody, if their sessions were silent just as long as they are. */
function verdicts(town: Town, observer: Resident, silentSinceMs: ReadonlyMap<string, number>): ReadonlyMap<string, string> {
  const nowMs = town.clock.now()
  const { changes } = judgeNodes({
    nodes: town.residents.map(({ node }) => ({ id: node, state: 'ready' as const, message: '' })),
    signs: (node) => ({
      session: 'registered',
      heardMs: silentSinceMs.get(node) ?? nowMs,
      ended: undefined,
      member: observer.membership.member(node),
    }),
    settings,
    nowMs,
    listenUntilMs: 0,
  })
  return new Map(changes.map(({ node, state }) => [node, state]))
}

for (const datagrams of ['on', 'off'] as const) {
  t.test(`datagrams ${datagrams}: a process that dies is known dead to all within a second, on the word of two`, async (t) => {
    const town = new Town(t)
    await town.form(12, { datagrams })
    // Those who watch it have their links by then, and have tried its address.
    await town.pass(2_500)
    const [dead] = town.residents.slice(-1) as [Resident]
    const atMs = town.clock.now()
    await town.crash(dead)
    await town.until(() => town.residents.every(({ membership }) => membership.member(dead.node)?.state === 'failed'), 1_500)
    t.ok(town.clock.now() - atMs <= 1_000, `${town.clock.now() - atMs} ms`)
    const sign = town.residents[0]?.membership.member(dead.node)
    t.ok((sign?.accusers ?? 0) >= 2)
    t.equal(sign?.isRefused, true, 'its machine refused')
    t.equal(town.residents[0]?.membership.metrics().skein_members, 11)
  })

  t.test(
    `datagrams ${datagrams}: a worker cut off for 4 s is given up by no leader, and one cut off for good is in seconds`,
    async (t) => {
      const town = new Town(t)
      await town.form(12, { datagrams })
      const [leader, , , worker, lost] = town.residents as [Resident, Resident, Resident, Resident, Resident]
      town.cutOff(worker)
      const silent = new Map([[worker.node, town.clock.now()]])
      const seen = new Set<string>()
      const look = (): boolean => {
        const verdict = verdicts(town, leader, silent).get(worker.node)
        if (verdict !== undefined) seen.add(verdict)
        return verdict === 'down'
      }
      for (let passed = 0; passed < 4_000; passed += 50) {
        await town.pass(50)
        look()
      }
      town.heal(worker)
      for (let passed = 0; passed < 2_000; passed += 50) {
        await town.pass(50)
        look() // its session is no faster than the slowest of its links
      }
      t.notOk(seen.has('down'), 'nothing is moved')
      await town.until(() => town.isOne(), 5_000)

      // Another one: whose machine was seen to answer just now, as the first one's was when it was healed, may be paused, and has longer.
      town.cutOff(lost)
      silent.delete(worker.node)
      silent.set(lost.node, town.clock.now())
      const tookMs = await town.until(() => verdicts(town, leader, silent).get(lost.node) === 'down', 20_000)
      t.ok(tookMs < 15_000, `down after ${tookMs} ms, long before its silence alone would say so`)
      t.notOk(verdicts(town, lost, new Map()).size > 0, 'and whom it hears over a session it takes for nothing else')
    },
  )
}

t.test('links grow with the members, not with their square', async (t) => {
  const town = new Town(t)
  const managers = 3
  for (let number = 0; number < managers; number++) await town.add({ role: 'manager' })
  await town.form(21)
  await town.pass(2_000) // who came last has displaced others
  const { residents } = town
  const linked = (one: Resident): number => residents.filter(({ node }) => one.pool.link(node) !== undefined).length
  const links = residents.reduce((sum, one) => sum + linked(one), 0) / 2
  const [ring, sessions, mesh] = [5 * residents.length, residents.length - managers, (managers * (managers - 1)) / 2]
  t.ok(links <= ring + sessions + mesh, `${links} links of ${residents.length} members`)
  t.ok(links < (residents.length * (residents.length - 1)) / 4, 'less than half of all there could be')
  const workers = residents.filter(({ role }) => role === 'worker')
  t.ok(
    workers.every((worker) => linked(worker) <= 11),
    `a session, five that it watches, five that watch it: ${workers.map(linked).join()}`,
  )
  const probed = residents.map(({ membership }) => membership.metrics().skein_swim_sent_datagrams_total ?? 0)
  t.ok(
    probed.every((count) => count > 0),
    'everybody else is reached by datagrams',
  )
})

t.test('where UDP is blocked peers stay members over their links, each says so once, and metrics tell', async (t) => {
  const town = new Town(t)
  await town.form(6)
  const [alone] = town.residents.slice(-1) as [Resident]
  const isStreamOnly = ({ membership }: Resident): boolean => membership.metrics().skein_swim_stream_only === 1
  town.filtered.add(alone.name)
  await town.until(() => isStreamOnly(alone), 60_000)
  t.notOk(town.residents.slice(0, -1).some(isStreamOnly), 'it is its own fault, and nobody else’s')
  for (const { name } of town.residents) town.filtered.add(name)
  // The last one to notice has nobody left to send any to, and says so all the same.
  await town.until(() => town.residents.every(isStreamOnly), 120_000)
  await town.pass(60_000)
  for (const one of town.residents) {
    t.equal(one.warnings.length, 1, 'exactly one warning')
    t.ok(one.warnings.every((words) => words.startsWith('no datagram passes')))
  }
  t.ok(town.isOne(), 'and nobody was lost')
  town.filtered.clear()
  await town.until(() => !town.residents.some(isStreamOnly), 120_000)
  t.ok(
    town.residents.every(({ warnings }) => warnings.length <= 1),
    'that they pass again is no warning',
  )
})

t.test('keys are rotated while a node is away: it is understood when it is back, after one rotation and after two', async (t) => {
  const town = new Town(t)
  await town.form(6)
  const [away] = town.residents.slice(-1) as [Resident]
  const rest = town.residents.slice(0, -1)
  const dropped = (one: Resident): Readonly<Record<string, number>> => one.lane?.counters.dropped ?? {}
  const second = rotateKeyring(firstRing, secret(3), 1)
  const rotations = [
    { ring: second, isUnderstood: true },
    { ring: rotateKeyring(rotateKeyring(second, secret(4), 2), secret(5), 3), isUnderstood: false },
  ]
  for (const { ring, isUnderstood } of rotations) {
    town.cutOff(away)
    for (const one of rest) one.keyring = ring
    await town.until(() => rest.every(({ membership }) => membership.member(away.node)?.state === 'failed'), 30_000)
    const before = rest.map((one) => dropped(one)['unknown-key'] ?? 0)
    town.heal(away)
    await town.until(() => town.isOne(), 30_000)
    await town.pass(3_000)
    const after = rest.map((one) => dropped(one)['unknown-key'] ?? 0)
    if (isUnderstood) t.same(after, before, 'what it seals with the key before opens everywhere')
    else
      t.ok(
        after.some((count, at) => count > (before[at] ?? 0)),
        'what it seals with forgotten keys is counted and dropped, and its links carry it until it hears of the new ones',
      )
    away.keyring = ring
    await town.pass(3_000)
    const last = rest.map((one) => dropped(one)['unknown-key'] ?? 0)
    await town.pass(5_000)
    t.same(
      rest.map((one) => dropped(one)['unknown-key'] ?? 0),
      last,
      'and then it speaks as all do',
    )
    t.ok(town.isOne())
  }
})

t.test('packets of another cluster, of another key and of nobody are counted, dropped, and change nothing', async (t) => {
  const town = new Town(t)
  await town.form(4)
  const [first] = town.residents as [Resident]
  const { DatagramLane } = await import('../../lib/overlay/datagram/index.js')
  const { cluster } = await import('../overlay/transport/support.js')
  const members = (): number => first.membership.members().length
  const known = members()
  const strangers = [
    { cluster: 'otherother00', ring: firstRing, reason: 'other-cluster' },
    {
      cluster,
      ring: rotateKeyring({ ...firstRing, next: { id: 1, secret: secret(9), removals: 0 } }, secret(8), 0),
      reason: 'bad-seal',
    },
  ] as const
  for (const [number, { cluster, ring, reason }] of strangers.entries()) {
    const socket = town.datagrams.bind(`stranger${number}:1`)
    const lane = new DatagramLane(socket, { node: `stranger000${number}`, cluster, epoch: 1, keyring: () => ring })
    const before = first.lane?.counters.dropped[reason] ?? 0
    for (let sent = 0; sent < 100; sent++) lane.send(first.pool.address, new Uint8Array(80).fill(sent))
    socket.send(first.pool.address, Buffer.from('nonsense'))
    await town.pass(1_000)
    t.equal((first.lane?.counters.dropped[reason] ?? 0) - before, 100, reason)
    await lane.close()
  }
  t.equal(first.lane?.counters.dropped.truncated, 2)
  t.equal(members(), known)
  t.ok(town.isOne())
})

t.test('whom a leader cannot hear itself, and others hear, counts for it as heard just now', async (t) => {
  const town = new Town(t)
  await town.form(12)
  const [leader, worker] = [town.residents[0], town.residents[6]] as [Resident, Resident]
  town.switchboard.cut(leader.name, worker.name)
  await town.pass(15_000)
  const sign = leader.membership.member(worker.node)
  t.equal(sign?.state, 'alive')
  const agoMs = town.clock.now() - (sign?.heardMs ?? 0)
  t.ok(agoMs <= 4_000, `heard ${agoMs} ms ago`)
})

t.test(
  'where another cluster answers at the address of a member that is gone, each stays its own (alertmanager#2250)',
  async (t) => {
    const town = new Town(t)
    await town.form(4)
    const others = new Town(t, { beside: town })
    await others.form(3)
    const [theirs] = others.residents as [Resident]
    const moved = await town.add({ address: theirs.pool.address })
    await town.until(() => town.isOne(), 20_000)
    await town.crash(moved)
    await town.pass(45_000)
    const known = (all: Town): unknown =>
      all.residents.map(({ membership }) =>
        membership
          .members()
          .map(({ id, state }) => `${id} ${state}`)
          .sort(),
      )
    const [ours, its] = [town.residents.map(({ node }) => `${node} alive`), others.residents.map(({ node }) => `${node} alive`)]
    t.same(
      known(town),
      town.residents.map(() => [...ours, `${moved.node} dead`].sort()),
    )
    t.same(
      known(others),
      others.residents.map(() => its.toSorted()),
    )
    t.ok((theirs.lane?.counters.dropped['other-cluster'] ?? 0) > 0, 'what is sent there is counted and dropped')
  },
)

t.test('a peer that comes back finds the others by what it kept, and still knows who had failed', async (t) => {
  const dir = t.testdir()
  const file = join(dir, 'members')
  const town = new Town(t)
  await town.form(5)
  const sleeper = await town.add({ file })
  await town.until(() => town.isOne(), 10_000)
  const [dead] = town.residents.slice(3, 4) as [Resident]
  await town.crash(dead)
  await town.until(() => sleeper.membership.member(dead.node)?.state === 'failed', 5_000)
  await town.pass(1_500)
  // The disk has a time of its own, which is not the town's.
  await eventually('the members are kept', async () => existsSync(file))
  await town.crash(sleeper) // no farewell: what counts is what was kept before
  await town.until(() => town.residents.every(({ membership }) => membership.member(sleeper.node)?.state === 'failed'), 5_000)
  // Nobody it could ask at start: the first manager, by whom it joined, is gone.
  await town.crash(town.residents[0] as Resident)
  const back = await town.add({ file, node: sleeper.node, epoch: 2, name: 'again' })
  t.equal(back.membership.member(dead.node)?.state, 'failed')
  await town.until(() => town.isOne(), 10_000)
  t.ok(town.residents.length === 4 && town.residents.every(({ membership }) => membership.member(dead.node)?.state === 'failed'))

  t.test('a file that cannot be read is said, and the peer starts without it', async (t) => {
    await writeFile(file, (await readFile(file)).subarray(0, 20))
    const other = await town.add({ file, name: 'other' })
    t.equal(other.warnings.length, 1)
    t.match(other.warnings[0], /unreadable/)
  })
})

t.test('who is removed from the cluster is no member, whatever it says, and others who have not heard of it', async (t) => {
  const town = new Town(t)
  await town.form(7)
  const [removed] = town.residents.slice(-1) as [Resident]
  const [told, untold] = [town.residents.slice(0, 4), town.residents.slice(4, 6)]
  const tell = (all: readonly Resident[]): void => {
    for (const { membership } of all) membership.remove([removed.node])
  }
  const refusing = new Set(told.map(({ name }) => name))
  const returns: string[] = []
  for (const { name, membership } of [...told, ...untold])
    membership.observe(() => {
      if (refusing.has(name) && membership.member(removed.node) !== undefined) returns.push(name)
    })
  tell(told)
  await town.pass(10_000)
  for (const { membership } of untold) t.equal(membership.member(removed.node)?.state, 'alive', 'they still speak for it')
  for (const { name } of untold) refusing.add(name)
  tell(untold)
  await town.pass(10_000)
  t.same(returns, [], 'it is never back where it is refused')
  for (const { membership } of [...told, ...untold]) t.equal(membership.member(removed.node), undefined)
  t.ok(town.isOne([...told, ...untold]))
})

for (const datagrams of ['on', 'off'] as const) {
  t.test(`datagrams ${datagrams}: a peer that can dial out and not be dialled stays a member`, async (t) => {
    const town = new Town(t)
    await town.form(8, { datagrams })
    const [node, seen]: [string, string[]] = ['hiddenmember', []]
    for (const { membership } of town.residents)
      membership.observe(() => {
        const state = membership.member(node)?.state ?? 'gone'
        if (state !== seen.at(-1)) seen.push(state)
      })
    const hidden = await town.add({ datagrams, node, address: 'nowhere:1' })
    await town.until(() => town.isOne(), 20_000)
    // An address that never took a connection proves nothing when it refuses one.
    await town.pass(60_000)
    t.notOk(seen.includes('failed'), seen.join())
    seen.length = 0
    const bytes = (): number => Number(hidden.membership.metrics().skein_swim_sent_bytes_total)
    const before = bytes()
    await town.pass(60_000)
    t.same(seen, [], 'and then it is in peace')
    t.ok((bytes() - before) / 60 < 600, `${Math.round((bytes() - before) / 60)} bytes a second`)
    t.ok(town.isOne())
  })
}
