import t from 'tap'
import { type HomingView, planHoming, settleMs, spreadMs } from '../../lib/peer/homing.js'

const view = (part: Partial<HomingView>): HomingView => ({
  home: 'home',
  through: 'away',
  sinceMs: 0,
  draw: 0.5,
  trial: undefined,
  nowMs: 0,
  ...part,
})
const goMs = settleMs + spreadMs / 2

t.test('who is at home, or knows of none, stays', async (t) => {
  t.equal(planHoming(view({ through: 'home', nowMs: 10 * goMs })).act, 'none')
  t.equal(planHoming(view({ home: undefined, nowMs: 10 * goMs })).act, 'none')
})

t.test('nobody goes before its own moment, and all have theirs within the bound', async (t) => {
  for (const draw of [0, 0.25, 0.999]) {
    const atMs = settleMs + draw * spreadMs
    t.equal(planHoming(view({ draw, nowMs: atMs - 1 })).act, 'none')
    t.equal(planHoming(view({ draw, nowMs: atMs })).act, 'try')
    t.ok(atMs < settleMs + spreadMs)
  }
})

t.test('a session moves over a link that stood for a while, not over one that just came up', async (t) => {
  const trial = { sinceMs: goMs, upSinceMs: goMs + 1_000 }
  t.equal(planHoming(view({ trial, nowMs: goMs + 3_999 })).act, 'none')
  t.equal(planHoming(view({ trial, nowMs: goMs + 4_000 })).act, 'move')
})

t.test('a manager that cannot be linked is let go, and tried again later', async (t) => {
  const trial = { sinceMs: goMs, upSinceMs: undefined }
  t.equal(planHoming(view({ trial, nowMs: goMs + 9_999 })).act, 'none')
  t.equal(planHoming(view({ trial, nowMs: goMs + 10_000 })).act, 'give-up')
  t.equal(planHoming(view({ sinceMs: goMs + 10_000, nowMs: goMs + 10_001 })).act, 'none')
})

t.test('every plan says when to look again, and that is later', async (t) => {
  for (let nowMs = 0; nowMs < 2 * goMs; nowMs += 777) t.ok(planHoming(view({ nowMs })).lookAtMs > nowMs)
})
