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

const openKeyOf = ({ kind, key }: RowRef): Uint8Array => makeKey(tablesRoot, 'row', rowKinds.indexOf(kind), key)

export function tableLayout(sealing: RowSealing | undefined): TableLayout {
  if (sealing === undefined) {
    const asIs = (bytes: Uint8Array): Uint8Array => bytes
    const appliedKey = makeKey(tablesRoot, 'applied')
    return { appliedKey, rows: keysUnder(tablesRoot, 'row'), keyOf: openKeyOf, seal: asIs, open: asIs }
  }
  const prefix = makeKey(tablesRoot, 'sealed', 'row')
  return {
    appliedKey: makeKey(tablesRoot, 'sealed', 'applied'),
    rows: prefixRange(prefix),
    keyOf: (row) => concatBytes([prefix, sealing.nameOf(openKeyOf(row))]),
    seal: (plain, key) => sealing.seal(plain, key),
    open: (stored, key) => sealing.open(stored, key),
  }
}
