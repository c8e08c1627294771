/** Where something listens. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

const form = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^\s:/@[\],]+)):(\d{1,5})$/

/** Reads `host:port` or `[ipv6]:port`; undefined when the text is something else. Port 0 is read: whether it makes sense is the caller's to say. */
export function parseHostPort(text: string): HostPort | undefined {
  const [, six, host = six, digits] = form.exec(text) ?? []
  const port = Number(digits)
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

/** `host:port`, with an IPv6 host in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
