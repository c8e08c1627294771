/** The table of targets in the simulator: virtual time, 0.5–1.5 ms between members. */
import type { Row } from '../report.js'
import { type Cell, chosenOf, type Note, seedsOf, type Wanted } from './cells.js'
import { peacefulCells } from './peaceful.js'
import { timedCells } from './timed.js'

/** Each cell that was asked for, with the seeds it takes. */
export function cellsToRun(given: Wanted): { readonly cell: Cell; readonly seeds: readonly number[] }[] {
  return chosenOf([...timedCells(), ...peacefulCells()], given)
    .map((cell) => ({ cell, seeds: seedsOf(cell, given) }))
    .filter(({ seeds }) => seeds.length > 0)
}

export function simulatorRows(given: Wanted, note: Note): Row[] {
  // Hours may pass until all seeds of the full form are through.
  const noteSeed: Note = given.form === 'full' || given.seeds !== undefined ? note : () => undefined
  return cellsToRun(given).flatMap(({ cell, seeds }) => {
    const done = cell.rows(seeds, noteSeed)
    for (const { figure, skein, bar } of done) note(figure, { skein, bar })
    return done
  })
}
