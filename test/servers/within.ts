/** For a test of many steps, each of which has a limit of its own: the whole takes as long as the machine needs. */
export const NO_LIMIT = 0

/** A step of a long test. Fails, with its name, where it does not end within that time. */
export async function within<Value>(limitMs: number, what: string, step: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} did not end within ${limitMs} ms`)), limitMs)
  try {
    return await Promise.race([step, promise])
  } finally {
    clearTimeout(timer)
  }
}
