/**
 * An answer that may be so many milliseconds old, for a question of each account in work: they share one look.
 * @param look a failure reaches those who share it, and nobody after them
 */
export function recentLook<Answer>(look: () => Promise<Answer>, maxAgeMs: number): (nowMs: number) => Promise<Answer> {
  let last: { readonly atMs: number; readonly answer: Answer } | null = null
  let looking: Promise<Answer> | null = null
  const lookNow = async (nowMs: number): Promise<Answer> => {
    const answer = await look()
    last = { atMs: nowMs, answer }
    return answer
  }
  return async (nowMs) => {
    if (last !== null && nowMs >= last.atMs && nowMs - last.atMs < maxAgeMs) return last.answer
    looking ??= lookNow(nowMs).finally(() => (looking = null))
    return looking
  }
}
