/** Where rows lie in a storage, and as which bytes: as they are, or sealed. The two share no key, so neither is taken for the other. */
import { concatBytes } from '../base/bytes.js'
import { keysUnder, makeKey, prefixRange, type Range } from '../storage/index.js'
import { tablesRoot } from './forget-tables.js'
import { type RowRef, rowKinds } from './rows.js'

/** Hides rows from whoever reads the disk. */
export interface RowSealing {
  /** What stands for this key; the same every time. */
  nameOf(key: Uint8Array): Uint8Array
  seal(plain: Uint8Array, place: Uint8Array): Uint8Array
  /** @throws {SkeinError} ERR_SKEIN_CORRUPT */
  open(sealed: Uint8Array, place: Uint8Array): Uint8Array
}

export interface TableLayout {
  /** Of the index up to which entries are applied: without it nothing of the rest counts. */
  readonly appliedKey: Uint8Array
  readonly rows: Range
  keyOf(row: RowRef): Uint8Array
  /** What is written under this key. */
  seal(plain: Uint8Array, key: Uint8Array): Uint8Array
  /** @throws {SkeinError} ERR_SKEIN_CORRUPT */
  open(stored: Uint8Array, key: Uint8Array): Uint8Array
}

/** The parts of a row's key below those of all rows. */
const partsOf = ({ kind, key }: RowRef): readonly [number, RowRef['key']] => [rowKinds.indexOf(kind), key]

export function tableLayout(sealing: RowSealing | undefined): TableLayout {
  if (sealing === undefined) {
    const asIs = (bytes: Uint8Array): Uint8Array => bytes
    const appliedKey = makeKey(tablesRoot, 'applied')
    return {
      appliedKey,
      rows: keysUnder(tablesRoot, 'row'),
      keyOf: (row) => makeKey(tablesRoot, 'row', ...partsOf(row)),
      seal: asIs,
      open: asIs,
    }
  }
  const prefix = makeKey(tablesRoot, 'sealed', 'row')
  return {
    appliedKey: makeKey(tablesRoot, 'sealed', 'applied'),
    rows: prefixRange(prefix),
    keyOf: (row) => {
      const key = makeKey(...partsOf(row))
      // A number tells nothing; tasks and answered requests, the rows that change most, have no other key.
      return concatBytes([prefix, typeof row.key === 'number' ? key : sealing.nameOf(key)])
    },
    seal: (plain, key) => sealing.seal(plain, key),
    open: (stored, key) => sealing.open(stored, key),
  }
}
