import t from 'tap'
import { FoundingHindrances } from '../../lib/peer/founding-hindrances.js'

const attendee = (name: string) => ({ id: name, name, address: `${name}:1` })
const [me, ally] = [attendee('me'), attendee('ally')]

t.test('who founds alone among others with another number ends after five seconds, not before', async (t) => {
  const hindrances = new FoundingHindrances('me', 3)
  for (let nowMs = 0; nowMs < 5_000; nowMs += 500) {
    hindrances.otherNumber('b:1', nowMs === 0 ? 5 : undefined, nowMs)
    t.equal(hindrances.hopeless([me], nowMs), undefined)
  }
  t.match(hindrances.hopeless([me], 5_000), {
    code: 'ERR_SKEIN_INVALID_OPTION',
    detail: { option: 'expect', got: 3 },
    message: 'expect: this peer founds a cluster of 3, b:1 of 5; give all founders the same number',
  })
})

t.test('where most have our number it is not us who end, and a tie that passes is forgotten', async (t) => {
  const hindrances = new FoundingHindrances('me', 3)
  for (let nowMs = 0; nowMs <= 4_000; nowMs += 500) {
    hindrances.otherNumber('b:1', 5, nowMs)
    hindrances.hopeless([me], nowMs)
  }
  for (let nowMs = 4_500; nowMs <= 20_000; nowMs += 500) {
    hindrances.otherNumber('b:1', 5, nowMs)
    t.equal(hindrances.hopeless([me, ally], nowMs), undefined, `at ${nowMs}`)
  }
  hindrances.otherNumber('c:1', 5, 20_500)
  t.equal(hindrances.hopeless([me, ally], 20_500), undefined, 'the patience begins anew')
})

t.test('who had another number, and came back with ours or not at all, hinders nobody', async (t) => {
  const hindrances = new FoundingHindrances('me', 3)
  hindrances.otherNumber('b:1', 5, 0)
  hindrances.hopeless([me], 0)
  hindrances.answered('b:1')
  t.equal(hindrances.hopeless([me], 6_000), undefined)
  hindrances.otherNumber('c:1', 5, 6_000)
  hindrances.hopeless([me], 6_000)
  t.equal(hindrances.hopeless([me], 12_000), undefined)
})

t.test('one line says who is here, and who is missing and why, however many', async (t) => {
  const hindrances = new FoundingHindrances('me', 3)
  t.equal(hindrances.describe([me]), '1 of 3 here: me (this peer); nothing was heard of the others')
  hindrances.unanswered('ally:1', 'connection refused')
  hindrances.unanswered('c:1', 'c:1: no answer')
  hindrances.unresolved([{ said: 'nowhere:1', why: 'ENOTFOUND' }])
  t.equal(hindrances.describe([me, ally]), '2 of 3 here: me (this peer), ally; missing: nowhere:1: ENOTFOUND; c:1: no answer')
  hindrances.unresolved([])
  hindrances.answered('c:1')
  t.equal(hindrances.describe([me, ally, attendee('c')]), '3 of 3 here: me (this peer), ally, c')
  for (let at = 0; at < 20; at++) hindrances.unanswered(`d:${at + 1}`, 'no answer')
  t.match(hindrances.describe([me]), /; and 13 more$/)
})
