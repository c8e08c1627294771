import createDebug from 'debug'

/** pino's argument order; default: the `debug` package under `skein:*`. */
export interface Logger {
  debug(o: object, msg: string): void
  info(o: object, msg: string): void
  warn(o: object, msg: string): void
  error(o: object, msg: string): void
}

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
