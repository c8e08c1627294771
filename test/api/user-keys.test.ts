import fc from 'fast-check'
import t from 'tap'
import { readParams } from '../../lib/api/control.js'
import { checkLabels } from '../../lib/model/check-node.js'
import { resolveServiceSpec } from '../../lib/model/resolve-service.js'
import { resolvePeerOptions } from '../../lib/peer/options.js'

type Texts = Readonly<Record<string, string>>

/** Own keys whatever their names: an object literal would make a prototype of one of them. */
function texts(keys: readonly string[]): Texts {
  return Object.fromEntries(keys.map((key) => [key, `of ${key}`]))
}

/** Every way by which a user's own keys come in. */
const doors: Readonly<Record<string, (texts: Texts) => unknown>> = {
  'networks.create': (labels) => readParams('networks.create', { name: 'a', labels }).labels,
  'configs.create': (labels) => readParams('configs.create', { name: 'a', data: new Uint8Array(1), labels }).labels,
  'nodes.label': (labels) => readParams('nodes.label', { ref: 'a', labels }).labels,
  'a filter': (labels) => readParams('networks.list', { filter: { labels } }).filter.labels,
  'labels of a record': (labels) => checkLabels(labels),
  'labels of a service': (labels) => resolveServiceSpec({ name: 'a', labels, task: { command: ['a'] } }).spec.labels,
  'env of a service': (env) => resolveServiceSpec({ name: 'a', task: { command: ['a'], env } }).spec.task.env,
  'services.create': (env) => readParams('services.create', { spec: { name: 'a', task: { command: ['a'], env } } }).spec.task.env,
  'labels of a peer': (labels) => resolvePeerOptions({ labels }, 'host', Math.random).labels,
}

const names = ['constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'a', 'zone']

for (const [door, take] of Object.entries(doors)) {
  t.test(`${door}: keys with names of JavaScript's own are kept as any other`, (t) => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.constantFrom(...names)), (keys) => {
        t.strictSame(Object.entries(take(texts(keys)) as Texts), Object.entries(texts(keys)))
      }),
      { numRuns: 30 },
    )
    t.end()
  })

  t.test(`${door}: __proto__ is refused by name, not left out`, (t) => {
    for (const keys of [['__proto__'], ['a', '__proto__', 'b']])
      t.throws(() => take(texts(keys)), { code: /^ERR_SKEIN_INVALID_/, message: /__proto__/ })
    t.end()
  })
}
