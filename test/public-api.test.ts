import t from 'tap'

/** What a reviewer should see change: every value the package exports, by entry. */
const exported: Readonly<Record<string, readonly string[]>> = {
  '../lib/index.js': ['SkeinError', 'connect', 'createPeer', 'inlineDriver', 'isSkeinError', 'processDriver'],
  '../lib/drivers/index.js': ['DriverRegistry', 'inlineDriver', 'processDriver'],
}

for (const [entry, names] of Object.entries(exported)) {
  t.test(`${entry} exports these names and no other`, async (t) => {
    const module = (await import(entry)) as object
    t.same(Object.keys(module).sort(), [...names].sort())
  })
}

t.test('importing the package starts nothing', async (t) => {
  await import('../lib/index.js')
  t.same(
    process
      .getActiveResourcesInfo()
      .filter((kind) => !['TTYWrap', 'PipeWrap', 'FSReqPromise', 'Timeout', 'Immediate', 'TickObject'].includes(kind)),
    [],
  )
})
