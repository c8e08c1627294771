import { createSecureContext } from 'node:tls'
import tap from 'tap'

interface Native {
  addRootCerts(): void
}

// Counted from before the module is loaded, since it makes a context as it loads.
tap.test('no context of a link reads the roots that Node brings along', async (t) => {
  const native = Object.getPrototypeOf(createSecureContext({ ca: [] }).context) as Native
  const { addRootCerts } = native
  let reads = 0
  native.addRootCerts = function (this: Native) {
    reads++
    addRootCerts.call(this)
  }
  t.teardown(() => {
    native.addRootCerts = addRootCerts
  })
  const { Credentials, strangersContext } = await import('../../lib/security/credentials.js')
  const { TestAuthority } = await import('../../lib/testing/test-authority.js')
  const { parseKeyString } = await import('../../lib/security/index.js')
  const authority = await TestAuthority.make('cccccccccccc')
  const state = parseKeyString(authority.keyString('worker', 'member000001'))
  t.ok(strangersContext)
  t.ok(new Credentials(state, () => Date.now()).context())
  t.ok(new Credentials({ ...state, own: undefined }, () => Date.now()).context(), 'a newcomer’s')
  t.equal(reads, 0)

  createSecureContext()
  t.equal(reads, 1, 'which counts what it should: a context without a list of its own does read them')
})
