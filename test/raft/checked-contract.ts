/** The contract with every invariant checked after every step. */
export * from './contract.js'
export { CheckedNode as RawNode } from './core/harness.js'
