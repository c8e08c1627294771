// The names that scripts and tables from elsewhere are run against, used as such a table would use them.
import fc from 'fast-check'
import t from 'tap'
import { Changer, Joint, setTrk, Tracker } from './contract.js'

/** `v1 l2 r3` as changes. */
function changes(text: string) {
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => ({ type: word[0] as 'v' | 'l' | 'r' | 'u', nodeId: Number(word.slice(1)) }))
}

function show({ config, progress }: Tracker): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = config
  const members = [...progress.values()].map(({ id, next, isLearner }) => `${id}@${next}${isLearner ? 'l' : ''}`)
  return `${[voters, votersOutgoing, learners, learnersNext].map((ids) => ids.join(' ')).join('|')}${autoLeave ? '|auto' : ''}: ${members.join(' ')}`
}

t.test('a table of changes reads configuration and progress after each of them', (t) => {
  const tracker = new Tracker(10, 0)
  const changer = new Changer(tracker)
  const rows: readonly [() => Parameters<typeof setTrk>[1], string][] = [
    [() => changer.simple(changes('v1')), '1|||: 1@1'],
    [() => changer.simple(changes('v2 l3')), '1 2||3|: 1@1 2@1 3@1l'],
    [() => changer.enterJoint(true, changes('r1 l2 v4 v5')), '4 5|1 2|3|2|auto: 1@1 2@1 3@1l 4@2 5@2'],
    [() => changer.leaveJoint(), '4 5||2 3|: 2@1l 3@1l 4@2 5@2'],
    [() => changer.enterJoint(false, changes('')), '4 5|4 5|2 3|: 2@1l 3@1l 4@2 5@2'],
    [() => changer.leaveJoint(), '4 5||2 3|: 2@1l 3@1l 4@2 5@2'],
    [() => changer.simple(changes('v0 r0 u4')), '4 5||2 3|: 2@1l 3@1l 4@2 5@2'],
    [() => changer.simple(changes('v2')), '2 4 5||3|: 2@1 3@1l 4@2 5@2'],
  ]
  for (const [change, expected] of rows) {
    setTrk(changer, change())
    t.equal(show(tracker), expected)
    changer.lastIndex++
  }
  t.end()
})

t.test('a change that is refused changes nothing, and says why', (t) => {
  const tracker = new Tracker()
  const changer = new Changer(tracker)
  t.throws(() => changer.enterJoint(true, changes('v1')), {
    code: 'ERR_CONF_CHANGE',
    message: "can't make a zero-voter config joint",
  })
  setTrk(tracker, changer.simple(changes('v1')), 5)
  const before = show(tracker)
  for (const [act, message] of [
    [() => changer.simple(changes('r1')), 'removed all voters'],
    [() => changer.simple(changes('v2 v3')), 'more than one voter changed without entering joint config'],
    [() => changer.leaveJoint(), "can't leave a non-joint config"],
  ] as const) {
    t.throws(act, { code: 'ERR_CONF_CHANGE', message })
    t.equal(show(tracker), before)
  }
  setTrk(tracker, changer.enterJoint(false, changes('v2')))
  t.throws(() => changer.enterJoint(false, changes('v3')), { message: 'config is already joint' })
  t.throws(() => changer.simple(changes('v3')), { message: "can't apply simple config change in joint config" })
  t.end()
})

t.test('a joint quorum decides as both of its halves do, whichever is named first', (t) => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 6 })
  const cast = fc.array(fc.option(fc.boolean(), { nil: undefined }), { minLength: 9, maxLength: 9 })
  const indexes = fc.array(fc.nat(15), { minLength: 9, maxLength: 9 })
  fc.assert(
    fc.property(ids, ids, cast, indexes, (one, two, votes, at) => {
      const said = new Map([...votes.entries()].filter((vote): vote is [number, boolean] => vote[1] !== undefined))
      const acked = new Map(at.entries())
      const [joint, other] = [new Joint(one, two), new Joint(two, one)]
      const halves = [new Joint(one), new Joint(two)].map((half) => half.vote(said))
      const expected = halves.includes('VoteLost') ? 'VoteLost' : halves.includes('VotePending') ? 'VotePending' : 'VoteWon'
      if (joint.vote(said) !== expected || other.vote(said) !== expected) return false
      const least = Math.min(new Joint(one).commit(acked), new Joint(two).commit(acked))
      return (
        joint.commit(acked) === least &&
        other.commit(acked) === least &&
        new Joint(one, one).commit(acked) === new Joint(one).commit(acked)
      )
    }),
  )
  t.equal(new Joint([]).commit(new Map()), Number.POSITIVE_INFINITY)
  t.equal(new Joint([]).vote(new Map()), 'VoteWon')
  t.end()
})
