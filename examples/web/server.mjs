// A web server as a service would be written: says where it listens, answers who it is, finishes its requests before it ends.
import { createServer } from 'node:http'
import { hostname } from 'node:os'

const { PORT = '0', SKEIN_SERVICE, SKEIN_TASK, SKEIN_SLOT } = process.env
const startedMs = Date.now()
let served = 0

const server = createServer((request, response) => {
  served += 1
  const answer = { service: SKEIN_SERVICE, task: SKEIN_TASK, slot: SKEIN_SLOT, pid: process.pid, host: hostname(), served }
  const body = JSON.stringify({ ...answer, path: request.url, upSeconds: Math.floor((Date.now() - startedMs) / 1000) })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
})

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))

// close() takes no new connections, drops idle ones, and calls back once the last request is answered.
process.once('SIGTERM', () => {
  console.log(`ending after ${served} requests`)
  server.close(() => process.exit(0))
})
