/** Waits, or until it is to stop. */
export async function until(waitMs: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, waitMs)
  const end = (): void => resolve()
  stop.addEventListener('abort', end, { once: true })
  if (stop.aborted) end()
  await promise
  stop.removeEventListener('abort', end)
  clearTimeout(timer)
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
