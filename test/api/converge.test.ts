import t from 'tap'
import type { ControlCaller } from '../../lib/api/control.js'
import { converge } from '../../lib/api/converge.js'
import { ManualClock } from '../../lib/testing/manual-clock.js'

t.test('the watch under a converge is ended with it, also when a change was on its way', async (t) => {
  let ended = 0
  const caller = {
    call: async (verb: string) =>
      verb === 'services.get'
        ? { id: 's', name: 'web', desired: 1, specVersion: 1 }
        : { items: [{ name: 'web.1', slot: 1, exhausted: true, specVersion: 1 }] },
    async *stream() {
      try {
        for (;;) yield { type: 'mark' }
      } finally {
        ended++
      }
    },
  } as unknown as ControlCaller
  await t.rejects(converge(caller, new ManualClock(), 'web', {}).next(), { code: 'ERR_SKEIN_TASKS_EXHAUSTED' })
  t.equal(ended, 1)
})
