/** The core under the names that etcd's interaction scripts are run against; no logic of its own. */
export { decodeConfChange as decodeCC } from '../../lib/raft/core/conf-change.js'
export { APPEND_THREAD, APPLY_THREAD, ErrCompacted, ErrUnavailable, limitSize, RawNode } from '../../lib/raft/core/index.js'
