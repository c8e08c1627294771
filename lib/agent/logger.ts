/** What the agent says of its work; pino's argument order. */
export interface AgentLogger {
  debug(about: object, message: string): void
  info(about: object, message: string): void
  warn(about: object, message: string): void
}

export const silentLogger: AgentLogger = { debug() {}, info() {}, warn() {} }
