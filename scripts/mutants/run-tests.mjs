// The layers of tests: runs several tap programs in one process, which starts tap once.
import { pathToFileURL } from 'node:url'

for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href)
