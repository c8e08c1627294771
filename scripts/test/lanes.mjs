// Runs jobs beside each other so that no processor idles: those that mostly wait (for timers, processes, networks) beside one that computes.

/**
 * Jobs of each kind begin in the order given. While some of both kinds are left, one processor is kept for those that wait,
 * and as many of these run as there are processors; then the rest runs, one for each processor.
 * @param jobs `{ kind: 'computes' | 'waits', run }`, where `run` resolves when the job is done and never rejects
 */
export async function runInLanes(jobs, processors) {
  const queues = { computes: [], waits: [] }
  for (const job of jobs) queues[job.kind].push(job)
  const running = { computes: 0, waits: 0 }
  const room = {
    computes: () => running.computes < Math.max(1, running.waits > 0 ? processors - 1 : processors),
    waits: () => running.waits < processors,
  }
  await new Promise((resolve) => {
    const fill = () => {
      for (const kind of ['waits', 'computes']) {
        while (queues[kind].length > 0 && room[kind]()) void begin(queues[kind].shift())
      }
      if (running.computes + running.waits === 0) resolve()
    }
    const begin = async ({ kind, run }) => {
      running[kind]++
      await run()
      running[kind]--
      fill()
    }
    fill()
  })
}
