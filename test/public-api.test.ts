import { spawnSync } from 'node:child_process'
import t from 'tap'

/** What a reviewer should see change: every value the package exports, by entry. */
const exported: Readonly<Record<string, readonly string[]>> = {
  '../lib/index.js': [
    'SkeinError',
    'connect',
    'createPeer',
    'inlineDriver',
    'isSkeinError',
    'makeFoundingToken',
    'processDriver',
  ],
  '../lib/drivers/index.js': ['DriverRegistry', 'inlineDriver', 'processDriver'],
  '../lib/compose/index.js': [
    'configPlan',
    'deployPlan',
    'interpolate',
    'loadStack',
    'namespaceLabel',
    'nearest',
    'parseDurationMs',
    'parseEnvFile',
    'parseMemoryBytes',
    'parseStack',
    'splitWords',
  ],
  '../lib/testing/index.js': ['ManualClock', 'TestAuthority', 'testDriver', 'testStorage', 'testTransport'],
  '../lib/raft/index.js': [
    'APPEND_THREAD',
    'APPLY_THREAD',
    'MemoryStorage',
    'NONE',
    'Raft',
    'RaftDisk',
    'RaftError',
    'RaftRunner',
    'RawNode',
    'decodeConfChange',
    'isRaftError',
    'nodeFiles',
    'planRecovery',
    'recoverRaft',
  ],
}

for (const [entry, names] of Object.entries(exported)) {
  t.test(`${entry} exports these names and no other`, async (t) => {
    const module = (await import(entry)) as object
    t.same(Object.keys(module).sort(), [...names].sort())
  })
}

t.test('importing the package starts nothing: a process that does only that has nothing open and ends', async (t) => {
  const entry = new URL('../lib/index.js', import.meta.url).href
  // Reading the modules leaves file requests in flight for a moment; what was started would still be there after it.
  const script = `await import(${JSON.stringify(entry)})
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    const mine = process.getActiveResourcesInfo().filter((kind) => !['TTYWrap', 'PipeWrap', 'FSReqPromise', 'FSReqCallback', 'CloseReq', 'Immediate'].includes(kind))
    console.log(JSON.stringify(mine))`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  t.equal(status, 0, stderr)
  t.equal(stdout, '[]\n')
})
