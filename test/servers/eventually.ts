const LOOK_MS = 10
/** No measure of speed: other work on the same machine may slow everything down many times. */
const DEADLINE_MS = 120_000

/**
 * Looks again until the condition gives something other than null, undefined or false, and returns it. A look that
 * throws counts as not yet; the last one's words are part of the failure.
 */
export async function eventually<Value>(
  what: string,
  look: () => Promise<Value | null | undefined | false> | Value | null | undefined | false,
  deadlineMs: number = DEADLINE_MS,
): Promise<Value> {
  const endMs = performance.now() + deadlineMs
  let last = ''
  for (;;) {
    try {
      const value = await look()
      if (value !== null && value !== undefined && value !== false) return value
    } catch (thrown) {
      last = thrown instanceof Error ? `: ${thrown.message}` : ''
    }
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}${last}`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
