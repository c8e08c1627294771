/** What peers and operators say of nodes, checked at the border. */
import type { NodeDescription } from './node.js'
import { labelsSchema, nameSchema } from './resolve-service.js'
import { check, listOf, openObject, plainData, text, wholeNumber } from './validate.js'

// Host names have dots; services do not, because `service.slot` names a task.
const nodeNameForm = /^(?=.{1,63}$)[A-Za-z0-9](?:[-_.A-Za-z0-9]*[A-Za-z0-9])?$/
const nodeNameWords = '1 to 63 letters, digits, - _ and ., first and last a letter or digit'
const line = text(/^[^\0]{0,255}$/, 'text of at most 255 characters')

const descriptionSchema = openObject({
  hostname: line,
  os: line,
  arch: line,
  pid: wholeNumber(0, 2 ** 31, 'process id'),
  resources: openObject({
    cpuNanos: wholeNumber(0, Number.MAX_SAFE_INTEGER, 'billionths of a CPU'),
    memoryBytes: wholeNumber(0, Number.MAX_SAFE_INTEGER, 'bytes'),
  }),
  drivers: listOf(nameSchema, 64, 'driver names'),
})

/** A node's name. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkNodeName(value: unknown, path = 'name'): string {
  return check(text(nodeNameForm, nodeNameWords), value, path)
}

/** Labels of a node. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC with the label's path */
export function checkLabels(value: unknown, path = 'labels'): Readonly<Record<string, string>> {
  return check(labelsSchema, plainData(value, path), path)
}

/** What a peer says of itself when it registers. @throws {SkeinError} ERR_SKEIN_INVALID_SPEC */
export function checkNodeDescription(value: unknown, path = 'description'): NodeDescription {
  return check(descriptionSchema, plainData(value, path), path)
}
