import type { AssignedTask, TaskReport } from '../api/session.js'

/** Who is told of the tasks of this node as they go, wishes included. Called synchronously; must not throw. */
export interface TaskWitness {
  /** What a task is now: after it began here, whenever its state or its wish changed, and for those a restart found. */
  saw(task: AssignedTask, report: TaskReport): void
  /** It is forgotten. */
  gone(id: string): void
}
