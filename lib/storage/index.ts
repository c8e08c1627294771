/**
 * storage: ordered bytes on disk.
 *
 * May import: base. Must never know: what the bytes mean, who reads them, that this is a cluster.
 * @module
 */
export * from './keyspace.js'
export * from './level-storage.js'
export * from './memory-storage.js'
export * from './storage.js'
