/**
 * A question whose answer several callers share. A caller that asks while it is being answered gets the next answer,
 * which begins after they asked; all who wait share that one, and at most one runs at a time.
 * @param once asks it; a failure reaches those who share it, and nobody after them
 */
export function sharedRun<Answer>(once: () => Promise<Answer>): () => Promise<Answer> {
  let running: Promise<Answer> | null = null
  let next: Promise<Answer> | null = null
  const start = (): Promise<Answer> => {
    const run = once().finally(() => {
      if (running === run) running = null
    })
    running = run
    return run
  }
  return () => {
    if (running === null) return start()
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = null
        return start()
      })
    return next
  }
}
