import { toAppError } from '../core/error.ts'
import { isSameUser } from '../core/token.ts'
import type { Lockout } from '../core/truth.ts'
import type { Clock } from '../ports/clock.ts'
import type { PrivacyIdeaPort, UserLockout } from '../ports/privacyidea.ts'
import type { LockoutReader } from './truth.ts'

/** Accounts that are read at the same time share one list. */
const LIST_AGE_MAX_MS = 1_000

/** The users that privacyIDEA keeps out now; null where it cannot be told (an older version keeps nobody out). */
export interface Lockouts extends LockoutReader {
  /** Read anew. */
  list(): Promise<readonly UserLockout[] | null>
}

export function openLockouts(source: PrivacyIdeaPort, clock: Clock): Lockouts {
  let last: { readonly atMs: number; readonly list: Promise<readonly UserLockout[] | null> } | null = null
  const list = (): Promise<readonly UserLockout[] | null> => {
    last = { atMs: clock.nowMs(), list: read(source) }
    return last.list
  }
  const young = (): Promise<readonly UserLockout[] | null> => {
    return last !== null && clock.nowMs() - last.atMs < LIST_AGE_MAX_MS ? last.list : list()
  }
  return {
    list,
    // Whoever asks for the same list is told of its failure.
    begin: () => void young().catch(() => undefined),
    async userCalled(login, realm) {
      const found = (await young())?.find(({ user }) => user.login === login && user.realm === realm)
      return found?.user ?? null
    },
    async of(user) {
      const lockouts = await young()
      if (lockouts === null) return 'unknown'
      const found = lockouts.find((each) => isSameUser(each.user, user))
      return found === undefined ? null : lockoutOf(found)
    },
  }
}

/** Without the right to see them nothing is known; every other failure is one. */
async function read(source: PrivacyIdeaPort): Promise<readonly UserLockout[] | null> {
  try {
    return (await source.userLockouts()).lockouts
  } catch (thrown) {
    if (toAppError(thrown).code === 'source-not-permitted') return null
    throw thrown
  }
}

export function lockoutOf({ untilMs }: UserLockout): Lockout {
  return { untilUs: untilMs === null ? null : untilMs * 1000 }
}
