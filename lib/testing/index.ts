/**
 * testing: suites for other people's bodies of skein's interfaces. A `t`-like object is passed in; no test framework is imported.
 *
 * May import: base, model, drivers, storage, overlay/transport. Must never know: tap.
 * @module
 */
export { type DriverCommands, type DriverSuite, type SuiteTest, testDriver } from './driver-suite.js'
export { ManualClock } from './manual-clock.js'
export { type StorageSuite, testStorage } from './storage-suite.js'
export { TestAuthority } from './test-authority.js'
export { type TransportSuite, testTransport } from './transport-suite.js'
