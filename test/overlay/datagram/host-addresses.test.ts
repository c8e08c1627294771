import t from 'tap'
import { type Deferred, deferred } from '../../../lib/base/deferred.js'
import { HostAddresses } from '../../../lib/overlay/datagram/host-addresses.js'

function world() {
  const asked: string[] = []
  const answers = new Map<string, Deferred<string>>()
  const time = { nowMs: 0 }
  const hosts = new HostAddresses(
    (host) => {
      asked.push(host)
      const answer = deferred<string>()
      answers.set(host, answer)
      return answer.promise
    },
    () => time.nowMs,
  )
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { asked, hosts, time, turn, answer: (host: string) => answers.get(host) as Deferred<string> }
}

t.test('nobody waits for a name: it is asked for once, and known afterwards', async (t) => {
  const { asked, hosts, time, turn, answer } = world()
  for (let packet = 0; packet < 100; packet++) t.equal(hosts.find('a'), undefined)
  t.same(asked, ['a'])
  answer('a').resolve('10.0.0.1')
  await turn()
  t.equal(hosts.find('a'), '10.0.0.1')
  time.nowMs = 15_001
  t.equal(hosts.find('a'), '10.0.0.1', 'the old answer counts until the new one is there')
  t.same(asked, ['a', 'a'])
  answer('a').resolve('10.0.0.2')
  await turn()
  t.equal(hosts.find('a'), '10.0.0.2')
})

t.test('a name service that hangs is asked twice at once, whatever the number of names, and the known ones stay', async (t) => {
  const { asked, hosts, time, turn, answer } = world()
  hosts.find('known')
  answer('known').resolve('10.0.0.1')
  await turn()
  time.nowMs = 20_000
  for (let at = 0; at < 1_000; at++) hosts.find(`dead${at}`)
  t.equal(asked.length, 3)
  t.equal(hosts.find('known'), '10.0.0.1')
  answer('dead0').reject(new Error('ENOTFOUND'))
  answer('dead1').resolve('10.0.0.9')
  await turn()
  t.equal(hosts.find('dead0'), undefined)
  t.equal(hosts.find('dead1'), '10.0.0.9')
  for (let at = 0; at < 1_000; at++) hosts.find(`dead${at}`)
  t.equal(asked.length, 5, 'the next two, and not the one that just failed')
  t.notOk(asked.slice(3).includes('dead0'))
})

t.test('a name that failed is asked for again after a while, and keeps what it last named', async (t) => {
  const { asked, hosts, time, turn, answer } = world()
  hosts.find('a')
  answer('a').resolve('10.0.0.1')
  await turn()
  time.nowMs = 16_000
  hosts.find('a')
  answer('a').reject(new Error('EAI_AGAIN'))
  await turn()
  t.equal(hosts.find('a'), '10.0.0.1')
  time.nowMs = 40_000
  hosts.find('a')
  t.equal(asked.length, 3)
})
