/** Waits, or until it is to stop. */
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
    // Else the process would stay for it.
    clearTimeout(timer)
  }
}

/** What the work gives, or null as soon as it is to stop; what is on its way then ends by itself. */
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
