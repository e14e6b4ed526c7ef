import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { AppError, toAppError } from '../core/error.ts'

/** The secret part of the webhook's URL. */

/** How long a secret that was read is used, in milliseconds: after that a changed file takes effect. */
const FRESH_MS = 1000
/** Characters at least: a shorter one can be guessed. */
const LENGTH_MIN = 8

export interface HookSecret {
  /**
   * Compares in a time that does not depend on `given`. Never fails: after an unreadable file the last secret stays in
   * effect.
   */
  matches(given: string): boolean
}

/** Fails with `config-invalid` when the secret is unusable, and as `read` does. */
export function openHookSecret(
  read: () => string,
  nowMs: () => number,
  onError: (error: AppError) => void,
): HookSecret {
  // Only digests under a key of this process are kept and compared: their length does not depend on `given`.
  const key = randomBytes(32)
  const digest = (text: string): Buffer => createHash('sha256').update(key).update(text).digest()
  let current = digest(usable(read()))
  let readAtMs = nowMs()

  function refresh(): void {
    if (Math.abs(nowMs() - readAtMs) < FRESH_MS) return
    readAtMs = nowMs()
    try {
      current = digest(usable(read()))
    } catch (thrown) {
      onError(toAppError(thrown, 'config-invalid'))
    }
  }
  return {
    matches(given) {
      refresh()
      return timingSafeEqual(digest(given), current)
    },
  }
}

function usable(secret: string): string {
  if (secret.length >= LENGTH_MIN) return secret
  throw new AppError('config-invalid', `The webhook's secret must have at least ${LENGTH_MIN} characters.`, {
    hint: 'Make one: openssl rand -hex 24 > FILE; chmod 600 FILE; and name FILE in intake.http.hookSecretFile.',
  })
}
