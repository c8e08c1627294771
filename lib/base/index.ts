/**
 * base: words every file uses: asserts, errors, ids, clock, chance, bytes. Each file is imported by itself; here is what the package exports.
 *
 * May import: nothing. Must never know: that this is a cluster.
 * @module
 */
export { type ErrorCode, type ErrorDetail, isSkeinError, SkeinError } from './errors.js'
export type { Logger } from './logger.js'
