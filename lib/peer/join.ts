import {
  type CredentialAnswer,
  type JoinAnswer,
  type JoinRequest,
  readCredentialAnswer,
  readJoinAnswer,
  type TokenClaim,
} from '../api/join.js'
import { SkeinError } from '../base/errors.js'
import { makeId } from '../base/ids.js'
import type { Random } from '../base/random.js'
import type { Link } from '../overlay/transport/index.js'
import { checkNew, digestOf, type KeyPair, type OwnCertificate, provePossession, readCertificate } from '../security/index.js'
import { type AskOptions, askManagers } from './ask-managers.js'

export interface JoinAttempt extends Omit<AskOptions, 'what' | 'timeoutMs'> {
  readonly keys: KeyPair
  /** Digest of the root that the token pins. */
  readonly root: string
  readonly request: Omit<JoinRequest, 'publicKey' | 'proof'>
}

/** A newcomer gives up when nobody could take it in for this long. */
const joinTimeoutMs = 30_000
const callMs = 5_000

/**
 * Asks the addresses in turn to be taken in; the same node may ask again. The pool's credentials pin the root, so the secret is
 * said only to a manager whose certificate that root has issued.
 * @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_OTHER_CLUSTER, ERR_SKEIN_BAD_CERTIFICATE, ERR_SKEIN_WIRE_VERSION,
 * ERR_SKEIN_REMOVED, ERR_SKEIN_ALREADY_EXISTS at once; ERR_SKEIN_UNREACHABLE or ERR_SKEIN_NO_QUORUM after 30 s
 */
export async function joinCluster({ keys, root, request, ...options }: JoinAttempt): Promise<JoinAnswer> {
  const { publicKey } = keys
  const { clock } = options
  const answer = await askManagers({ ...options, what: 'join', timeoutMs: joinTimeoutMs }, async (link) => {
    const proof = provePossession(keys, { purpose: 'join', id: request.id, publicKey, binding: link.binding })
    return readJoinAnswer(await link.call('join.join', { ...request, publicKey, proof }, { deadlineMs: callMs }))
  })
  const { roots, retired } = answer.trust
  if (![...roots, ...retired].some((each) => digestOf(each) === root)) {
    throw new SkeinError('ERR_SKEIN_BAD_MESSAGE', 'the answer to join.join: the pinned root is not among its roots', {
      path: 'trust',
    })
  }
  checkNew(readCertificate(answer.certificate), clock.wallMs())
  return answer
}

/** A client's certificate for these keys, asked over this link. @throws {SkeinError} ERR_SKEIN_BAD_JOIN_SECRET, ERR_SKEIN_NOT_LEADER (a worker was asked) */
export async function askCredential(
  link: Link,
  keys: KeyPair,
  token: TokenClaim | undefined,
  random: Random,
): Promise<CredentialAnswer & { readonly own: OwnCertificate }> {
  const { publicKey } = keys
  const id = makeId(random)
  const proof = provePossession(keys, { purpose: 'credential', id, publicKey, binding: link.binding })
  const request = { id, publicKey, proof, ...(token && { token }) }
  const answer = readCredentialAnswer(await link.call('join.credential', request, { deadlineMs: callMs }))
  return { ...answer, own: { certificate: answer.certificate, keys } }
}
