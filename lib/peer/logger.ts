import createDebug from 'debug'
import type { Logger } from '../base/logger.js'

/** Everything goes to `DEBUG=skein:*`; nothing is printed unless asked for. */
export function debugLogger(): Logger {
  const to = (level: string) => {
    const print = createDebug(`skein:${level}`)
    return (o: object, msg: string): void => {
      if (print.enabled) print('%s %o', msg, o)
    }
  }
  return { debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') }
}
