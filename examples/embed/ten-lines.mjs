// A peer inside your own process: it founds a cluster of one in memory, keeps a service running, and stops everything it started.
import { createPeer } from 'skein'

const peer = await createPeer()
const code = 'console.log("hello from", process.env.SKEIN_TASK); setInterval(() => {}, 1000)'
await peer.services.create({ name: 'hello', task: { command: ['node', '-e', code] }, mode: { replicas: 2 } })
for await (const { running, desired } of peer.services.converge('hello')) console.log(`${running} of ${desired} running`)
for (const task of (await peer.tasks.list({ service: 'hello' })).items)
  console.log(`${task.name} is ${task.observed} on ${task.nodeName}`)
await peer.stop()
