/** What must hold in the tables after every command; checked after a restore and by the tests. Pure. */
import { isTerminal, rank, type Task, taskId } from '../model/task.js'
import type { Tables } from './tables.js'

/** Sentences about what is broken; empty when all holds. Stops at the first ten. */
export function brokenInvariants(tables: Tables): readonly string[] {
  const broken: string[] = []
  for (const words of findings(tables)) {
    broken.push(words)
    if (broken.length === 10) break
  }
  return broken
}

function* findings(tables: Tables): Generator<string> {
  let byService = 0
  let byNode = 0
  let previous: Task | undefined
  for (const service of tables.services()) {
    if (tables.serviceByName(service.spec.name) !== service) yield `service ${service.id}: its name does not lead to it`
    if (tables.spec(service.id, service.specVersion) === undefined) yield `service ${service.id}: its spec is gone`
  }
  for (const secret of tables.secrets())
    if (tables.secretByName(secret.name) !== secret) yield `secret ${secret.id}: its name does not lead to it`
  for (const config of tables.configs())
    if (tables.configByName(config.name) !== config) yield `config ${config.id}: its name does not lead to it`
  for (const network of tables.networks())
    if (tables.networkByName(network.name) !== network) yield `network ${network.id}: its name does not lead to it`
  for (const task of tables.tasks()) {
    yield* taskFindings(tables, task)
    if (previous?.service !== task.service) byService += count(tables.tasksOfService(task.service))
    if (previous !== undefined && !comesBefore(previous, task)) yield `task ${taskId(task)}: out of order, or twice`
    previous = task
  }
  const nodes = new Set(Array.from(tables.tasks(), (task) => task.node))
  for (const node of nodes) {
    if (node === undefined) continue
    for (const task of tables.tasksOfNode(node)) {
      byNode++
      if (task.node !== node) yield `task ${taskId(task)}: listed on node ${node}, lives on ${task.node}`
    }
  }
  const placed = [...tables.tasks()].filter((task) => task.node !== undefined).length
  if (byNode !== placed) yield `${placed} placed tasks, but ${byNode} listed by node`
  if (byService !== tables.taskCount()) yield `${tables.taskCount()} tasks, but ${byService} listed by service`
}

function* taskFindings(tables: Tables, task: Task): Generator<string> {
  const id = taskId(task)
  if (tables.task(task.handle) !== task) yield `task ${id}: its handle ${task.handle} does not lead to it`
  if (tables.taskById(id) !== task) yield `task ${id}: its id does not lead to it`
  if (task.handle >= tables.counters.nextHandle) yield `task ${id}: its handle ${task.handle} is still to be given`
  if (tables.spec(task.service, task.specVersion) === undefined) yield `task ${id}: its spec is gone`
  if (task.generation > tables.lastGeneration(task.service, task.slot)) yield `task ${id}: its generation was never counted`
  if (tables.service(task.service) === undefined && task.desired !== 'remove') yield `task ${id}: outlives its service`
  if (task.node === undefined && rank(task.observed) >= rank('assigned') && !isTerminal(task.observed))
    yield `task ${id}: runs nowhere`
  if (task.node !== undefined && rank(task.observed) < rank('assigned')) yield `task ${id}: waits, but has a node`
  if (task.node !== undefined && tables.node(task.node) === undefined && !isTerminal(task.observed))
    yield `task ${id}: outlives its node`
}

function comesBefore(a: Task, b: Task): boolean {
  if (a.service !== b.service) return a.service < b.service
  return a.slot < b.slot || (a.slot === b.slot && a.generation < b.generation)
}

function count(items: Iterable<unknown>): number {
  let number = 0
  for (const _ of items) number++
  return number
}
