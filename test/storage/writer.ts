/** A process that writes numbers, tells each once it is acknowledged, and never ends by itself. */
import { LevelStorage } from '../../lib/storage/index.js'

const storage = await LevelStorage.open(process.argv[2] as string)
for (let number = 0; ; number++) {
  const key = Buffer.alloc(4)
  key.writeUInt32BE(number)
  await storage.batch([{ type: 'put', key, value: key }], { sync: number % 10 === 0 })
  process.stdout.write(`${number}\n`)
}
