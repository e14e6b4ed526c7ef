import { toAppError } from '../../core/error.ts'
import { isCounterOver, type Token } from '../../core/source/token.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import { withMappedTokens } from './mapped-tokens.ts'

/** The setting is read again after so long, and only while there is a full token. */
const SETTING_AGE_MAX_MS = 60_000

/**
 * The same source; a token whose fail counter is full, and would be cleared by the next attempt, is not full.
 * privacyIDEA leaves the counter unchanged when its time is over, and reports nothing: the very next attempt clears it
 * first, so that the right OTP lets its user in. So nobody stays locked out of the directory by a counter that locks
 * nobody out of privacyIDEA. Where the setting may not be read, its last known value counts; at first: never.
 */
export function withClearTimeout(source: PrivacyIdeaPort, clock: Clock): PrivacyIdeaPort {
  const setting = settingOf(source, clock)
  const seen = async (tokens: readonly Token[]): Promise<readonly Token[]> => {
    if (!tokens.some((token) => token.isFull && token.fullSinceMs !== null)) return tokens
    const timeoutMs = await setting()
    if (timeoutMs === null) return tokens
    const nowMs = clock.nowMs()
    return tokens.map((token) => (isCounterOver(token, timeoutMs, nowMs) ? { ...token, isFull: false } : token))
  }
  return withMappedTokens(source, seen)
}

/** @returns a function that reads it at most once per interval; null: it is off, or was never to be read */
function settingOf(source: PrivacyIdeaPort, clock: Clock): () => Promise<number | null> {
  let last: number | null = null
  let readMs = -Infinity
  return async () => {
    const nowMs = clock.nowMs()
    if (nowMs - readMs < SETTING_AGE_MAX_MS) return last
    try {
      last = await source.failCounterClearTimeoutMs()
    } catch (thrown) {
      const { code } = toAppError(thrown)
      if (code !== 'source-not-permitted' && code !== 'source-answer') throw thrown
    }
    readMs = nowMs
    return last
  }
}
