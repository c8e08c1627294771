import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { openSecret } from '../security/index.js'
import type { Store } from '../store/store.js'

export interface SecretOpenerWorld {
  readonly cluster: string
  readonly dataKey: Uint8Array
  readonly logger: Logger
}

/** Finds a secret and opens it; undefined when there is none, or when it cannot be opened: then the log says so, and its tasks are refused. */
export function secretOpener(store: Pick<Store, 'view'>, world: SecretOpenerWorld): (id: string) => Uint8Array | undefined {
  return (id) => {
    const secret = store.view().secret(id)
    try {
      return secret && openSecret(secret, world)
    } catch (error) {
      world.logger.error({ secret: id, error: messageOf(error) }, 'a secret cannot be opened; tasks that need it are refused')
      return undefined
    }
  }
}
