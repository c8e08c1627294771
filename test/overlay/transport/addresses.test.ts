import t from 'tap'
import { addressToAdvertise, evidenceOf, parseAddress, parseListen } from '../../../lib/overlay/transport/index.js'

t.test('host and port are read, IPv6 in brackets', async (t) => {
  t.strictSame(parseListen('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
  t.strictSame(parseListen('[::]:7000'), { host: '::', port: 7000 })
  t.strictSame(parseAddress('node-1.example:65535'), { host: 'node-1.example', port: 65_535 })
})

for (const text of [
  '',
  '7000',
  ':7000',
  'host',
  'host:',
  'host:65536',
  'host:-1',
  '::1:7000',
  '[host]:1',
  'a b:1',
  'user@host:1',
  'http://a:1',
]) {
  t.test(`"${text}" is no address, and the message says what is`, async (t) => {
    t.throws(() => parseListen(text), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      detail: { option: 'listen', got: text },
      message: /host:port/,
    })
  })
}

t.test('port 0 can be listened on, not dialled', async (t) => {
  t.throws(() => parseAddress('host:0'), { code: 'ERR_SKEIN_INVALID_OPTION' })
})

const interfaces = [
  { address: '127.0.0.1', family: 'IPv4', internal: true },
  { address: 'fe80::1', family: 'IPv6', internal: false },
  { address: '2001:db8::1', family: 'IPv6', internal: false },
  { address: '10.0.0.7', family: 'IPv4', internal: false },
]
t.test('what is advertised is the wish, else the bound address, else an outside address of this machine', async (t) => {
  t.equal(addressToAdvertise('127.0.0.1:7000', undefined, interfaces), '127.0.0.1:7000')
  t.equal(addressToAdvertise('0.0.0.0:7000', undefined, interfaces), '10.0.0.7:7000')
  t.equal(addressToAdvertise('[::]:7000', undefined, interfaces.slice(0, 3)), '[2001:db8::1]:7000')
  t.equal(addressToAdvertise('0.0.0.0:7000', undefined, []), '127.0.0.1:7000')
  t.equal(addressToAdvertise('0.0.0.0:7000', 'lb.example:80', interfaces), 'lb.example:80')
  t.equal(addressToAdvertise('0.0.0.0:7000', 'lb.example:0', interfaces), 'lb.example:7000')
  for (const wish of ['lb.example', '0.0.0.0:80']) {
    t.throws(() => addressToAdvertise('0.0.0.0:7000', wish, interfaces), {
      code: 'ERR_SKEIN_INVALID_OPTION',
      detail: { option: 'advertise' },
    })
  }
})

t.test('a failed dial is evidence by its system code, wherever in the causes it lies', async (t) => {
  const withCode = (code: string) => new Error('dial', { cause: new AggregateError([Object.assign(new Error(), { code })]) })
  const verdicts = ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENETUNREACH', 'ENOTFOUND', 'WHATEVER'].map((code) =>
    evidenceOf(withCode(code)),
  )
  t.strictSame(verdicts, ['refused', 'reset', 'silent', 'local', 'local', 'closed'])
  t.equal(evidenceOf('no error'), 'closed')
})
