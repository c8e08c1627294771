import fc from 'fast-check'
import t from 'tap'
import { judgeNodes, type Member, type Signs, type Verdicts } from '../../lib/dispatcher/node-verdicts.js'
import type { NodeState } from '../../lib/model/node.js'
import type { Evidence } from '../../lib/overlay/transport/transport.js'

const settings = { heartbeatMs: 1_000, graceFactor: 3, pauseToleranceMs: 30_000 }

interface Given {
  readonly state?: NodeState
  readonly message?: string
  readonly session?: Signs['session']
  readonly heardMs?: number
  readonly ended?: Evidence
  readonly endedMs?: number
  /** A dial after it found nobody. Default: it did. */
  readonly isConfirmed?: boolean
  readonly member?: Partial<Member>
}

/** Nodes named a, b, c …, all of them judged at `nowMs`. */
function judge(nowMs: number, given: readonly Given[], listenUntilMs = 0): Verdicts {
  const ids = given.map((_each, at) => `n${String(at).padStart(4, '0')}`)
  return judgeNodes({
    nodes: given.map(({ state = 'ready', message = '' }, at) => ({ id: ids[at] as string, state, message })),
    signs: (node) => {
      const its = given[ids.indexOf(node)]
      if (its === undefined) return undefined
      const { session = 'registered', heardMs = nowMs, ended, endedMs = 0, isConfirmed = true, member } = its
      return {
        session,
        heardMs,
        ended: ended === undefined ? undefined : { evidence: ended, atMs: endedMs, isConfirmed },
        member: member && { state: 'alive', accusers: 0, isRefused: false, sinceMs: 0, heardMs: 0, ...member },
      }
    },
    settings,
    nowMs,
    listenUntilMs,
  })
}

/** What is recorded of those whom the brake holds. */
const heldWords = judge(4_000, [{ heardMs: 0 }, { heardMs: 0 }, {}]).changes[0]?.message ?? ''

/** The verdict on the first of many nodes, of which the others are well. */
function one(nowMs: number, given: Given, listenUntilMs = 0): string {
  const well = Array.from({ length: 9 }, (): Given => ({}))
  const { changes } = judge(nowMs, [given, ...well], listenUntilMs)
  return changes[0]?.state ?? given.state ?? 'ready'
}

t.test('silence of 4 s degrades a worker and moves nothing; past 30 s it is down', async (t) => {
  t.equal(one(2_999, { heardMs: 0 }), 'ready')
  t.equal(one(3_000, { heardMs: 0 }), 'degraded')
  t.equal(one(4_000, { heardMs: 0 }), 'degraded')
  t.equal(one(29_999, { heardMs: 0 }), 'degraded')
  t.equal(one(30_000, { heardMs: 0 }), 'down')
  t.equal(one(4_100, { state: 'degraded', heardMs: 4_050 }), 'ready', 'and it is ready again when it is heard')
})

t.test(
  'a process whose link ended, and where a dial finds nobody, is down within a second; one heard since, by whatever lane, is not',
  async (t) => {
    for (const ended of ['reset', 'refused', 'closed'] as const) {
      t.equal(one(999, { heardMs: -500, ended, endedMs: 0 }), 'ready')
      t.equal(one(1_000, { heardMs: -500, ended, endedMs: 0 }), 'down', ended)
      t.equal(one(1_000, { heardMs: 10, ended, endedMs: 0 }), 'ready')
      t.equal(one(2_999, { heardMs: 0, ended, endedMs: 0, isConfirmed: false }), 'ready', 'a broken link alone proves nothing')
      t.equal(one(1_000, { heardMs: -500, ended, endedMs: 0, member: { heardMs: 600 } }), 'ready')
      t.equal(one(1_000, { heardMs: -500, ended, endedMs: 0, member: { heardMs: -200 } }), 'down', 'heard before is not since')
    }
    for (const ended of ['silent', 'local'] as const) t.equal(one(2_000, { heardMs: 0, ended, endedMs: 500 }), 'ready', ended)
  },
)

t.test('two accusers take a node down after a grace; one is an opinion, also when our link to it broke', async (t) => {
  const failed = { state: 'failed', accusers: 2, sinceMs: 5_000, heardMs: 2_000 } as const
  t.equal(one(7_999, { heardMs: 2_000, member: failed }), 'degraded')
  t.equal(one(8_000, { heardMs: 2_000, member: failed }), 'down')
  t.equal(one(8_000, { heardMs: 2_000, member: { ...failed, accusers: 1 } }), 'degraded')
  t.equal(
    one(8_000, { heardMs: 2_000, member: { ...failed, accusers: 1 }, ended: 'reset', endedMs: 4_000, isConfirmed: false }),
    'degraded',
  )
  t.equal(one(8_000, { heardMs: 5_500, member: failed }), 'ready', 'it spoke to us after they gave it up')
})

t.test(
  'a machine that refused two is believed at once, unless a beat of the node may still come over its own link',
  async (t) => {
    const refused = { state: 'failed', accusers: 2, isRefused: true, sinceMs: 5_000, heardMs: 2_000 } as const
    t.equal(one(5_000, { heardMs: 2_000, member: refused }), 'down')
    t.equal(one(5_000, { heardMs: 4_800, member: refused, ended: 'reset', endedMs: 4_990 }), 'down', 'its link broke off too')
    t.equal(one(5_900, { heardMs: 4_800, member: refused }), 'degraded', 'a node that can dial out and not be dialled')
    t.equal(one(5_900, { heardMs: 5_800, member: refused }), 'ready', 'and its beat')
    t.equal(one(6_300, { heardMs: 4_800, member: refused }), 'down')
  },
)

t.test('a paused process is degraded at once, and its tasks are not moved before the tolerance', async (t) => {
  const member = { state: 'degraded', accusers: 3, sinceMs: 1_500, heardMs: 900 } as const
  t.equal(one(1_500, { heardMs: 1_000, member }), 'degraded')
  t.equal(one(26_000, { heardMs: 1_000, member }), 'degraded')
  t.equal(one(31_000, { heardMs: 1_000, member }), 'down')
})

t.test('one that others hear but that has no session is degraded, and not given up for its silence towards us', async (t) => {
  const heard = (heardMs: number): Given => ({ session: 'expected', heardMs: 0, member: { heardMs } })
  t.equal(one(2_000, heard(1_900)), 'ready', 'a new leader waits for it')
  t.equal(one(5_000, heard(4_900)), 'degraded')
  t.equal(one(200_000, heard(199_900)), 'degraded')
  t.equal(one(300_000, heard(299_900)), 'down', 'but not for ever')
})

t.test(
  'after a leader change a node that has not registered is unknown, not down, for as long as it may be paused',
  async (t) => {
    t.equal(one(29_000, { state: 'unknown', session: 'expected', heardMs: 0 }), 'unknown')
    t.equal(one(30_000, { state: 'unknown', session: 'expected', heardMs: 0 }), 'down')
  },
)

t.test('who left is down at once', async (t) => {
  const left = { state: 'left', sinceMs: 950, heardMs: 940 } as const
  t.equal(one(1_000, { heardMs: 900, ended: 'closed', endedMs: 960, member: left }), 'down')
  t.equal(one(1_000, { heardMs: 900, session: 'expected', member: left }), 'down', 'also one without a session')
  t.equal(
    one(1_000, { heardMs: 980, member: { state: 'left', sinceMs: 950, heardMs: 940 } }),
    'ready',
    'unless it registered since',
  )
})

t.test('whom all others give up, or say goodbye for, stays as long as it beats over its own link', async (t) => {
  for (const state of ['failed', 'left'] as const) {
    const member = { state, accusers: 5, isRefused: true, sinceMs: 3_000, heardMs: 2_000 }
    t.not(one(3_500, { heardMs: 2_900, member }), 'down', `${state}: its next beat is waited for`)
    t.equal(one(4_100, { heardMs: 4_000, member }), 'ready', `${state}: it came`)
    t.equal(one(4_500, { heardMs: 2_900, member }), 'down', `${state}: it did not come`)
  }
})

t.test('after a stall of our own nobody is judged before we listened again', async (t) => {
  const silent: Given = { heardMs: 0 }
  t.equal(one(40_000, silent, 41_000), 'ready')
  t.equal(one(40_000, { heardMs: 0, ended: 'reset', endedMs: 100 }, 41_000), 'ready')
  t.equal(judge(40_000, [silent], 41_000).wakeAtMs, 41_000)
  t.equal(one(41_000, silent, 41_000), 'down')
})

t.test('when a third of the nodes fall silent together none of them is down for a minute; then all are', async (t) => {
  const well = Array.from({ length: 6 }, (): Given => ({}))
  const silent = [{ heardMs: 0 }, { heardMs: 300 }, { heardMs: 600 }]
  const { changes, held } = judge(31_000, [...silent, ...well])
  t.same(
    changes.map(({ state }) => state),
    ['degraded', 'degraded', 'degraded'],
  )
  t.equal(held.length, 3)
  t.match(changes[0]?.message, /cut off/)
  t.same(
    judge(63_599, [...silent, ...well]).changes.map(({ state }) => state),
    ['degraded', 'degraded', 'degraded'],
  )
  t.same(
    judge(63_600, [...silent, ...well]).changes.map(({ state }) => state),
    ['down', 'down', 'down'],
  )
  const { changes: fewer } = judge(31_000, [...silent.slice(0, 2), ...well])
  t.same(
    fewer.map(({ state }) => state),
    ['down', 'down'],
    'two of eight are taken for what they seem',
  )
})

t.test(
  'the brake counts those who are silent only so far, so that the first to cross the line does not slip through',
  async (t) => {
    const { changes } = judge(30_000, [{ heardMs: 0 }, { heardMs: 20_000 }, { heardMs: 26_000 }, {}, {}, {}])
    t.same(
      changes.map(({ state }) => state),
      ['degraded', 'degraded', 'degraded'],
    )
  },
)

t.test(
  'the brake holds what members say of silence too, but not what is proved: a machine that refuses can be reached',
  async (t) => {
    const failed: Given = { heardMs: 0, member: { state: 'failed', accusers: 3, sinceMs: 6_000, heardMs: 0 } }
    t.same(
      judge(8_000, [failed, failed, failed, {}, {}]).changes.map(({ state }) => state),
      ['degraded', 'degraded', 'degraded'],
    )
    const dead: Given = { heardMs: 0, ended: 'reset', endedMs: 500 }
    t.same(
      judge(2_000, [dead, dead, dead, {}, {}]).changes.map(({ state }) => state),
      ['down', 'down', 'down'],
    )
  },
)

t.test(
  'whom the brake held it goes on holding while the first of them return, for as long as their silence is young',
  async (t) => {
    const well = Array.from({ length: 4 }, (): Given => ({}))
    const silent: Given[] = [{ heardMs: 0 }, { heardMs: 300 }, { heardMs: 600 }]
    const { changes, held } = judge(4_000, [...silent, ...well])
    t.equal(held.length, 0, 'none would be down yet')
    t.same(new Set(changes.map(({ message }) => message)), new Set([heldWords]), 'but it is told already')
    const recorded = silent.map((its): Given => ({ ...its, state: 'degraded', message: heldWords }))
    const oneIsBack = (nowMs: number): Verdicts =>
      judge(nowMs, [...recorded.slice(0, 2), { ...recorded[2], heardMs: nowMs }, ...well])
    for (const nowMs of [31_000, 63_299])
      t.match(oneIsBack(nowMs), { changes: [{ node: 'n0002', state: 'ready' }], held: ['n0000', 'n0001'] })
    t.same(
      oneIsBack(63_300).changes.map(({ state }) => state),
      ['down', 'down', 'ready'],
    )
  },
)

t.test('a session that fell silent counts for the brake also while members still hold its node alive', async (t) => {
  const believed: Given = { heardMs: 0, member: { heardMs: 29_000 } }
  const well = Array.from({ length: 4 }, (): Given => ({}))
  const together = judge(30_000, [{ heardMs: 0 }, believed, believed, ...well])
  t.same(together.held, ['n0000'])
  const waiting: Given = { ...believed, session: 'expected' }
  t.match(judge(30_000, [{ heardMs: 0 }, waiting, waiting, ...well]).changes[0], { node: 'n0000', state: 'down' })
})

t.test('a single silent worker of a small cluster is no catastrophe', async (t) => {
  t.same(
    judge(30_000, [{ heardMs: 0 }, {}]).changes.map(({ state }) => state),
    ['down'],
  )
})

t.test('nodes that are down already count neither as nodes nor as losses', async (t) => {
  const old = Array.from({ length: 5 }, (): Given => ({ state: 'down', heardMs: -1_000_000 }))
  t.same(
    judge(30_000, [...old, { heardMs: 0 }, {}, {}]).changes.map(({ node, state }) => [node, state]),
    [['n0005', 'down']],
  )
})

t.test(
  'whatever the signs: judged again nothing changes, nobody heard within the grace is down, and the wake comes when it does',
  async (t) => {
    const time = fc.integer({ min: 0, max: 100_000 })
    const member = fc.record({
      state: fc.constantFrom('alive', 'degraded', 'suspect', 'failed' as const),
      accusers: fc.integer({ min: 0, max: 5 }),
      isRefused: fc.boolean(),
      sinceMs: time,
      heardMs: time,
    })
    const given: fc.Arbitrary<Given> = fc.record(
      {
        state: fc.constantFrom<NodeState>('ready', 'degraded', 'unknown', 'down'),
        message: fc.constantFrom('', heldWords),
        session: fc.constantFrom('registered', 'expected' as const),
        heardMs: time,
        ended: fc.constantFrom<Evidence>('refused', 'reset', 'closed', 'silent', 'local'),
        endedMs: time,
        isConfirmed: fc.boolean(),
        member,
      },
      { requiredKeys: ['state', 'heardMs', 'session'] },
    )
    fc.assert(
      fc.property(fc.array(given, { minLength: 1, maxLength: 12 }), (all) => {
        const nowMs = 100_000
        const first = judge(nowMs, all)
        const stateOf = new Map(first.changes.map(({ node, state }) => [node, state]))
        const wordsOf = new Map(first.changes.map(({ node, message }) => [node, message]))
        if (first.held.some((node) => stateOf.get(node) === 'down')) return false
        const after = all.map((its, at): Given => {
          const id = `n${String(at).padStart(4, '0')}`
          return { ...its, state: stateOf.get(id) ?? its.state ?? 'ready', message: wordsOf.get(id) ?? its.message ?? '' }
        })
        // What is down has no signs any more: that is for the caller to forget.
        const again = judge(
          nowMs,
          after.filter(({ state }) => state !== 'down'),
        )
        const quiet = again.changes.filter(({ state }) => state !== 'down')
        if (quiet.length > 0) return false
        for (const [at, its] of all.entries()) {
          const state = stateOf.get(`n${String(at).padStart(4, '0')}`)
          const heard = its.heardMs ?? nowMs
          if (state === 'down' && nowMs - heard < 3_000 && its.ended === undefined && its.member?.state !== 'failed') return false
        }
        if (first.wakeAtMs !== undefined && first.wakeAtMs <= nowMs) return false
        // Nothing changes between now and the wake.
        const before = judge((first.wakeAtMs ?? nowMs + 1_000_000) - 1, after)
        return before.changes.every(({ node }) => after[Number(node.slice(1))]?.state === 'down' || stateOf.has(node))
      }),
      { numRuns: 2_000 },
    )
    t.pass()
  },
)
