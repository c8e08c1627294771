import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import t from 'tap'
import { openNamespaces, whyNoNamespaces } from './network.js'

/** An echo server; its port is the last thing in its address. */
const echo = (address: string): string => {
  const [host, port] = address.split(':')
  return `require('net').createServer((c) => c.pipe(c)).listen(${port}, '${host}', () => console.log('up'))`
}

t.test(
  'a cut loses packets in its direction only, silently, and ends when it is healed',
  { skip: whyNoNamespaces() ?? false },
  async (t) => {
    const owned: string[] = []
    const network = await openNamespaces(2, (_kind, name) => owned.push(name))
    t.teardown(() => network.close())
    t.equal(owned.length, 5, 'a bridge, two links, two namespaces')
    const [file, args] = network.command(0, process.execPath, ['-e', echo(network.listen(0))])
    const server = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => server.kill('SIGKILL'))
    await once(createInterface({ input: server.stdout }), 'line')
    const [host = '', port] = network.listen(0).split(':')

    // From the other namespace: exits 0 for an echo, 3 when nothing came for a while.
    const ask = `const c=require('net').connect(${port},'${host}',()=>c.write('x'));c.on('data',()=>process.exit(0));c.on('error',()=>process.exit(2));setTimeout(()=>process.exit(3),1500)`
    const echoed = async (): Promise<number> => {
      const [command, words] = network.command(1, process.execPath, ['-e', ask])
      const [code] = (await once(spawn(command, words, { stdio: 'inherit' }), 'exit')) as [number]
      return code
    }
    t.equal(await echoed(), 0)
    await network.cut?.([[0, 1]])
    t.equal(await echoed(), 3, 'the answer is lost')
    await network.cut?.([[1, 0]])
    t.equal(await echoed(), 3, 'the question is lost')
    const host0 = connect(Number(port), host)
    host0.write('x')
    await once(host0, 'data')
    t.pass('this process is a host of its own, and cut off from nobody')
    host0.destroy()
    await network.cut?.([])
    t.equal(await echoed(), 0, 'healed')
  },
)
