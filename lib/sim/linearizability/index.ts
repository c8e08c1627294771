/**
 * sim/linearizability: judges a recorded history of puts, gets and compare-and-sets: did every key behave like one register?
 *
 * May import: base. Must never know: who recorded the history, and how.
 * Source: Herlihy, Wing 1990 (the property); Wing, Gong 1993 and Lowe 2017 (the search).
 * @module
 */
export { type CheckOptions, checkHistory, type HistoryVerdict } from './check.js'
export { formatHistory, type Operation, parseHistory, type Value } from './history.js'
export { describeOperation } from './witness.js'
