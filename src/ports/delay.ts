/** Waits for the time, or until the stop signal. */
export async function delay(waitMs: number, stop?: AbortSignal): Promise<void> {
  if (stop?.aborted === true) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const end = (): void => resolve()
  const timer = setTimeout(end, waitMs)
  stop?.addEventListener('abort', end, { once: true })
  await promise
  stop?.removeEventListener('abort', end)
  clearTimeout(timer)
}

/** Waits for the work, and no longer than so long. @returns false: it goes on after that time */
export async function within(work: Promise<unknown>, limitMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>()
  const timer = setTimeout(() => resolve(false), limitMs)
  try {
    return await Promise.race([work.then(() => true as const), promise])
  } finally {
    // Otherwise the timer would keep the process running.
    clearTimeout(timer)
  }
}

/** The result of the work, or null as soon as the stop signal comes; the work in progress then ends by itself. */
export async function unlessStopped<Result>(work: Promise<Result>, stop: AbortSignal): Promise<Result | null> {
  if (stop.aborted) return null
  const { promise, resolve } = Promise.withResolvers<null>()
  const end = (): void => resolve(null)
  stop.addEventListener('abort', end, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    stop.removeEventListener('abort', end)
  }
}
