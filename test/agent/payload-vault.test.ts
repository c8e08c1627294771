import t from 'tap'
import { PayloadVault } from '../../lib/agent/payload-vault.js'

const never = new AbortController().signal
const refs = [
  { id: 'a', target: 'password' },
  { id: 'b', target: 'key.pem' },
]

t.test('a task gets copies of its secrets once the last of them is here', async (t) => {
  const vault = new PayloadVault('secret')
  let isThere = false
  const gathered = vault.gather('web.1.1', refs, never).then((found) => {
    isThere = true
    return found
  })
  vault.take([{ id: 'a', data: Uint8Array.of(1) }])
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(isThere, false)
  const second = Uint8Array.of(2)
  vault.take([{ id: 'b', data: second }])
  const found = await gathered
  t.same(
    [...found],
    [
      ['password', Uint8Array.of(1)],
      ['key.pem', Uint8Array.of(2)],
    ],
  )
  found.get('key.pem')?.fill(9)
  t.same(second, Uint8Array.of(2), 'what a task does to its copy is nothing to others')
  t.same((await vault.gather('other.1.1', [], never)).size, 0, 'a task without secrets waits for nothing')
})

t.test('what is dropped is overwritten and not found again', async (t) => {
  const vault = new PayloadVault('secret')
  const data = [1, 2, 3].map((byte) => Uint8Array.of(byte, byte))
  vault.take(data.map((bytes, index) => ({ id: 'abc'.charAt(index), data: bytes })))
  vault.drop(['a', 'nobody'])
  vault.keepOnly(new Set(['c', 'd']))
  t.same(vault.ids, ['c'])
  t.same(data, [Uint8Array.of(0, 0), Uint8Array.of(0, 0), Uint8Array.of(3, 3)])
})

t.test('a secret that the cluster cannot give refuses the task; a task that is stopped waits no longer', async (t) => {
  const vault = new PayloadVault('secret')
  const stop = new AbortController()
  const waiting = vault.gather('web.1.1', refs, stop.signal)
  stop.abort()
  await t.rejects(waiting, { code: 'ERR_SKEIN_ABORTED' })
  vault.take([{ id: 'a' }, { id: 'b', data: Uint8Array.of(2) }])
  await t.rejects(vault.gather('web.1.1', refs, never), { code: 'ERR_SKEIN_TASK_REJECTED', message: /password/ })
})
