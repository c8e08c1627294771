/**
 * wire: how values become bytes and are read back with suspicion.
 *
 * May import: base. Must never know: what any message means, who sends it, where it is stored.
 * Every layer above owns its own message types and builds their decoders from the readers here.
 * @module
 */
export * from './channels.js'
export * from './codec.js'
export * from './decode.js'
export * from './frame.js'
