import type {
  CredentialAnswer,
  CredentialRequest,
  JoinAnswer,
  JoinApi,
  JoinRequest,
  KeyRequest,
  RenewAnswer,
  TrustNews,
} from '../api/join.js'
import type { ManagerAddress } from '../api/session.js'
import type { CertificateAuthority } from '../api/types.js'
import { SkeinError } from '../base/errors.js'
import { below, type Random } from '../base/random.js'
import type { Access, NodeCertificate } from '../model/access.js'
import type { Cluster } from '../model/cluster.js'
import type { Op } from '../model/command.js'
import { type Keyring, rotationDueInMs } from '../model/keyring.js'
import type { Node, NodeRole } from '../model/node.js'
import {
  type AuthorityWorld,
  addRoot,
  type CertifiedRole,
  checkPossession,
  checkPublicKey,
  checkSecret,
  digestOf,
  fingerprint,
  type Identity,
  issueFrom,
  issuingRoot,
  lifetimes,
  openKeyring,
  readCertificate,
  retireRoots,
  rotateToken,
  rotationStep,
  type Subject,
  trustOf,
  withNextKeyring,
} from '../security/index.js'
import type { Store } from '../store/store.js'

/** Largest raft id: still an exact number in every encoding. */
const raftIdBound = 2 ** 48 - 1

export interface JoinWorld {
  readonly store: Store
  readonly random: Random
  /** Unseals what is secret in the record. */
  readonly dataKey: Uint8Array
  wallMs(): number
  managers(): readonly ManagerAddress[]
  /** Raft ids that are or were in the configuration; never given again. */
  raftIdTaken(id: number): boolean
}

/** Who comes in, and with what certificate. Issuing to clients is any manager's; whatever changes the record is the leader's. */
export class JoinServer implements JoinApi {
  readonly #world: JoinWorld
  /** As of one state of the tables: asked for every member that listens. */
  #called: { readonly at: number; readonly nodes: readonly string[] } | undefined
  /** The keys of datagrams as last unsealed. */
  #opened: { readonly sealed: Keyring; readonly ring: Keyring } | undefined

  constructor(world: JoinWorld) {
    this.#world = world
  }

  async join(request: JoinRequest, binding: Uint8Array): Promise<JoinAnswer> {
    const { store } = this.#world
    const { access } = this.#cluster()
    const { id, role } = request
    const wrong = checkSecret(access, this.#authority(), role, request.secret)
    if (wrong !== undefined) throw wrong
    checkProof('join', id, request, binding)
    this.#refuseRemoved(id)
    if (role === 'manager' && request.address === '') {
      const words = 'listen: the others dial a manager; give it an address to listen on, or join as a worker'
      throw new SkeinError('ERR_SKEIN_INVALID_OPTION', words, { option: 'listen', got: 'none' })
    }
    const known = store.view().node(id)
    if (known === undefined) {
      const { name, address, availability, labels } = request
      const raftId = role === 'manager' ? this.#newRaftId() : undefined
      await store.submit([{ op: 'node.create', id, role, raftId, name, address, availability, labels }], { by: id })
    } else this.#refuseOtherKey(known, request.publicKey)
    const record = this.#node(id)
    const { publicKey, address } = request
    const certificate = await this.#certify(record, { publicKey, keyBefore: undefined }, address)
    return {
      certificate,
      trust: trustOf(this.#cluster().id, access),
      role: record.role,
      raftId: record.raftId,
      dataKey: this.#dataKeyFor(record.role),
      managers: this.#world.managers(),
    }
  }

  async renew(
    { node, role: was, key: keyBefore }: Pick<Identity, 'node' | 'role' | 'key'>,
    request: KeyRequest,
    binding: Uint8Array,
  ): Promise<RenewAnswer> {
    checkProof('renew', node, request, binding)
    this.#refuseRemoved(node)
    const known = this.#node(node)
    const raftId = known.becoming === 'manager' ? this.#newRaftId() : undefined
    // In one command with its certificate: a raft id is given only to who is told of it, or asks again and finds it on record.
    const record: Node = raftId === undefined ? known : { ...known, role: 'manager', raftId }
    const become = raftId === undefined ? [] : [{ op: 'node.become', id: node, role: 'manager', raftId } as const]
    const certificate = await this.#certify(record, { publicKey: request.publicKey, keyBefore }, record.address, become)
    const { id, access } = this.#cluster()
    const { role } = record
    return { certificate, trust: trustOf(id, access), role, raftId: record.raftId, dataKey: this.#dataKeyFor(role), was }
  }

  /** A client's certificate: a newcomer's by its token, a peer's client by the peer's own role. Needs no quorum. */
  credential(caller: Pick<Identity, 'role'>, request: CredentialRequest, binding: Uint8Array): CredentialAnswer {
    const { id, access } = this.#cluster()
    const { token } = request
    if (token !== undefined) {
      const wrong = checkSecret(access, this.#authority(), token.role, token.secret)
      if (wrong !== undefined) throw wrong
    } else if (caller.role === 'newcomer') {
      throw new SkeinError('ERR_SKEIN_FORBIDDEN', 'a newcomer needs a join token', { role: caller.role, verb: 'join.credential' })
    }
    checkProof('credential', request.id, request, binding)
    const role: CertifiedRole = (token?.role ?? caller.role) === 'manager' ? 'operator' : 'app'
    const certificate = this.#issue(access, { cluster: id, role, id: request.id }, request.publicKey, lifetimes.clientMs)
    return { certificate, role, trust: trustOf(id, access) }
  }

  /**
   * A certificate for the manager that asks itself, on no record and valid for 12 h, or until `untilMs` if that is later: when its own is
   * not in time nobody lets it in, and a renewal needs the others, whose own may have ended too. Undefined before the first record.
   */
  stopgap(node: string, publicKey: Uint8Array, untilMs: number): Uint8Array | undefined {
    const { cluster } = this.#world.store.view()
    if (cluster === undefined) return undefined
    const lifeMs = Math.max(lifetimes.stopgapMs, untilMs - this.#world.wallMs())
    return this.#issue(cluster.access, { cluster: cluster.id, role: 'manager', id: node }, publicKey, lifeMs)
  }

  /** What every member must know; who is none by its certificate gets no keys. @throws {SkeinError} ERR_SKEIN_PRECONDITION while the cluster is being founded */
  trust(to: 'member' | 'stranger'): TrustNews {
    const { id, access, removedNodes, demotedNodes, version } = this.#cluster()
    const keyring = to === 'member' ? this.#keyring(access) : undefined
    return {
      trust: trustOf(id, access),
      removed: removedNodes,
      demoted: demotedNodes,
      called: this.#calledNodes(),
      keyring,
      version,
    }
  }

  /** Milliseconds until the keys of datagrams are to be rotated; 0: now, or there are none yet. */
  get rotationDueInMs(): number {
    const { access, removedNodes } = this.#cluster()
    return access.keyring === undefined ? 0 : rotationDueInMs(access.keyring, this.#world.wallMs(), removedNodes.length)
  }

  /** The next keys of datagrams, or the first. */
  async rotateKeyring(): Promise<void> {
    await this.#changeAccess((access) => withNextKeyring(access, this.#authority(), this.#cluster().removedNodes.length))
  }

  /** The roots, for people. */
  describe(): CertificateAuthority {
    const { access } = this.#cluster()
    const step = rotationStep(access, this.#world.store.view().nodes())
    const roots = access.roots.map(({ certificate, state }) => ({
      digest: digestOf(certificate),
      state,
      notAfter: new Date(readCertificate(certificate).notAfterMs),
    }))
    return { roots, waitingFor: step.type === 'waiting' ? step.nodes : [] }
  }

  /** A new secret for this token; the old one is refused from now on. */
  async rotateToken(role: NodeRole): Promise<void> {
    await this.#changeAccess((access) => rotateToken(access, this.#authority(), role, this.#world.random))
  }

  /** A new root issues from now on. @throws {SkeinError} ERR_SKEIN_PRECONDITION while a rotation is under way */
  async rotateRoot(): Promise<void> {
    await this.#changeAccess((access) => addRoot(access, this.#authority(), this.#world.random))
  }

  /** Retires roots nobody who is up needs any more. */
  async stepRotation(): Promise<void> {
    const { access } = this.#cluster()
    if (rotationStep(access, this.#world.store.view().nodes()).type === 'retire') await this.#changeAccess(retireRoots)
  }

  async #changeAccess(change: (access: Access) => Access | Promise<Access>): Promise<void> {
    const { access, version } = this.#cluster()
    await this.#world.store.submit([{ op: 'cluster.access', access: await change(access), ifVersion: version }], { by: 'leader' })
  }

  /** Also those who are managers already: one whose answer got lost in a crash knows nothing of it. */
  #calledNodes(): readonly string[] {
    const view = this.#world.store.view()
    if (this.#called?.at !== view.version) {
      const nodes = [...view.nodes()].flatMap(({ id, role, becoming }) =>
        role === 'manager' || becoming === 'manager' ? [id] : [],
      )
      this.#called = { at: view.version, nodes }
    }
    return this.#called.nodes
  }

  #keyring(access: Access): Keyring | undefined {
    if (this.#opened?.sealed !== access.keyring)
      this.#opened = access.keyring && { sealed: access.keyring, ring: openKeyring(access.keyring, this.#authority()) }
    return this.#opened?.ring
  }

  async #certify(
    { id, role, address: was }: Node,
    { publicKey, keyBefore }: { readonly publicKey: Uint8Array; readonly keyBefore: string | undefined },
    address: string,
    before: readonly Op[] = [],
  ): Promise<Uint8Array> {
    const { access, id: cluster } = this.#cluster()
    const certificate = this.#issue(access, { cluster, role, id }, publicKey, lifetimes.nodeMs)
    const facts = certificateFacts(certificate, access)
    const moved = address === was ? [] : [{ op: 'node.update', id, address } as const]
    await this.#world.store.submit([...before, ...moved, { op: 'node.certify', id, ...facts, before: keyBefore }], { by: id })
    return certificate
  }

  #issue(access: Access, subject: Subject, publicKey: Uint8Array, lifeMs: number): Uint8Array {
    return issueFrom(access, this.#authority(), subject, checkPublicKey(publicKey), lifeMs)
  }

  #authority(): AuthorityWorld {
    return { cluster: this.#cluster().id, dataKey: this.#world.dataKey, nowMs: this.#world.wallMs() }
  }

  #cluster(): Cluster {
    const { cluster } = this.#world.store.view()
    if (cluster !== undefined) return cluster
    throw new SkeinError('ERR_SKEIN_PRECONDITION', 'the cluster is still being founded; try again', { what: 'founding' })
  }

  #node(id: string): Node {
    const record = this.#world.store.view().node(id)
    if (record !== undefined) return record
    throw new SkeinError('ERR_SKEIN_REMOVED', `node ${id} is not of this cluster, or was removed from it`, { node: id })
  }

  #dataKeyFor(role: NodeRole): Uint8Array | undefined {
    return role === 'manager' ? this.#world.dataKey : undefined
  }

  #refuseRemoved(node: string): void {
    if (!this.#cluster().removedNodes.includes(node)) return
    throw new SkeinError('ERR_SKEIN_REMOVED', `node ${node} was removed from this cluster; join with an empty directory`, {
      node,
    })
  }

  /** A join token is no proof of being a certain node: only that node's key is. */
  #refuseOtherKey({ id, certificate }: Node, publicKey: Uint8Array): void {
    if (certificate === undefined || certificate.key === fingerprint(publicKey)) return
    const words = `node id ${id} belongs to another key; join with an empty directory`
    throw new SkeinError('ERR_SKEIN_ALREADY_EXISTS', words, { kind: 'node', name: id })
  }

  #newRaftId(): number {
    for (;;) {
      const id = 1 + below(this.#world.random, raftIdBound)
      if (!this.#world.raftIdTaken(id)) return id
    }
  }
}

/** What the record keeps of a certificate. */
export function certificateFacts(certificate: Uint8Array, access: Access): NodeCertificate {
  const { fingerprint: key, notAfterMs } = readCertificate(certificate)
  return { key, root: digestOf(issuingRoot(access).certificate), notAfterMs }
}

function checkProof(
  purpose: 'join' | 'renew' | 'credential',
  id: string,
  { publicKey, proof }: KeyRequest,
  binding: Uint8Array,
): void {
  if (checkPossession({ purpose, id, publicKey, binding }, proof)) return
  const words = `join.${purpose}: the proof that this key is the caller’s does not hold for this link`
  throw new SkeinError('ERR_SKEIN_FORBIDDEN', words, { role: 'newcomer', verb: `join.${purpose}` })
}
