import type { Random } from '../../base/random.js'

export const dimensions = 8

/** Where a member stands in a space whose distances are round trips; `height` is its own way to the network. Milliseconds. */
export interface Coordinate {
  readonly position: readonly number[]
  readonly heightMs: number
  /** Confidence: near 0 when sure, 1.5 when it knows nothing. */
  readonly error: number
}

export const origin: Coordinate = Object.freeze({
  position: Object.freeze(new Array<number>(dimensions).fill(0)),
  heightMs: 0.01,
  error: 1.5,
})

/** Nobody is farther from anybody, along any axis, in milliseconds; and what is read from others stays far from where numbers end. */
export const coordinateMaxMs = 600_000

const errorMax = 1.5
const heightMinMs = 0.01
/** How fast position and error follow one sample. @see Dabek et al., Vivaldi (SIGCOMM 2004) §3 */
const follow = 0.25

/** The round trip to be expected between two members. */
export function roundTripMs(one: Coordinate, other: Coordinate): number {
  return distance(one.position, other.position) + one.heightMs + other.heightMs
}

/** Where we stand after one round trip to a member that stands at `other`. */
export function moved(own: Coordinate, other: Coordinate, measuredMs: number, random: Random): Coordinate {
  const rttMs = Math.max(0.01, measuredMs)
  const expectedMs = roundTripMs(own, other)
  const wrong = Math.abs(expectedMs - rttMs) / rttMs
  const weight = own.error / Math.max(own.error + other.error, 1e-6)
  const error = Math.min(errorMax, follow * weight * wrong + own.error * (1 - follow * weight))
  const force = follow * weight * (rttMs - expectedMs)
  const away = direction(own.position, other.position, random)
  const position = own.position.map((value, axis) => value + (away.unit[axis] as number) * force)
  const climb = away.length > 1e-6 ? ((own.heightMs + other.heightMs) * force) / away.length : 0
  return {
    position: position.map((value) => Math.max(-coordinateMaxMs, Math.min(coordinateMaxMs, value))),
    heightMs: Math.max(heightMinMs, Math.min(coordinateMaxMs, own.heightMs + climb)),
    error,
  }
}

/** From `to` towards `from`; any direction when they coincide. */
function direction(from: readonly number[], to: readonly number[], random: Random): { unit: number[]; length: number } {
  const length = distance(from, to)
  const apart = length > 1e-6 ? from.map((value, axis) => value - (to[axis] as number)) : from.map(() => random() - 0.5)
  const size = Math.hypot(...apart) || 1
  return { unit: apart.map((value) => value / size), length }
}

function distance(one: readonly number[], other: readonly number[]): number {
  let sum = 0
  for (let axis = 0; axis < dimensions; axis++) sum += ((one[axis] as number) - (other[axis] as number)) ** 2
  return Math.sqrt(sum)
}
