import { toAppError, type AppError, type ErrorCode } from '../../core/error.ts'
import type { ResolverName } from '../../core/names.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PrivacyIdeaPort } from '../../ports/privacyidea.ts'

/**
 * A user store that does not answer costs privacyIDEA up to 20 s an owner, on a thread that nobody else has then: its
 * users could not log in because Lockstep asks about so many of them. So of the owners in such a user store one is
 * asked about at a time, and the others fail at once with the last failure. Those of other user stores are not delayed.
 */
interface Shut {
  readonly error: AppError
  untilMs: number
}

const SHUTTING: readonly ErrorCode[] = ['source-resolver', 'source-timeout']
/** How long no call is let through after a failure: as long as it took, at least and at most so long. */
const SHUT_MIN_MS = 1_000
const SHUT_MAX_MS = 10_000
/** User stores at most; an installation has a few. */
const RESOLVERS_MAX = 1_000

/** The same source; `tokensOfOwner` fails with what the last call for an owner of that user store failed with. */
export function sourceWithBreakers(source: PrivacyIdeaPort, clock: Pick<Clock, 'nowMs'>): PrivacyIdeaPort {
  const shut = new Map<ResolverName, Shut>()
  const tokensOfOwner: PrivacyIdeaPort['tokensOfOwner'] = async (owner) => {
    const { resolver } = owner
    if (resolver === null) return source.tokensOfOwner(owner)
    const startedMs = clock.nowMs()
    const status = shut.get(resolver)
    if (status !== undefined) {
      if (startedMs < status.untilMs) throw status.error
      // This call tests the user store; those that come meanwhile get the known failure.
      status.untilMs = Infinity
    }
    try {
      const tokens = await source.tokensOfOwner(owner)
      shut.delete(resolver)
      return tokens
    } catch (thrown) {
      const error = toAppError(thrown)
      if (!SHUTTING.includes(error.code)) shut.delete(resolver)
      else {
        const nowMs = clock.nowMs()
        const waitMs = Math.min(SHUT_MAX_MS, Math.max(SHUT_MIN_MS, nowMs - startedMs))
        if (status !== undefined || shut.size < RESOLVERS_MAX) shut.set(resolver, { error, untilMs: nowMs + waitMs })
      }
      throw error
    }
  }
  return { ...source, tokensOfOwner, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() }
}
