import { toAppError } from '../../core/error.ts'
import { isSameUser, type UserOfSource } from '../../core/source/token.ts'
import type { Lockout } from '../../core/source/snapshot.ts'
import type { Clock } from '../../ports/clock.ts'
import type { OddLockout, PrivacyIdeaPort, UserLockout, UserLockouts } from '../../ports/privacyidea.ts'
import type { LockoutReader } from './snapshot.ts'

/** Accounts that are read at the same time share one list. */
const LIST_AGE_MAX_MS = 1_000

/** The users that privacyIDEA locks out now; null where that is not known (an older version locks nobody out). */
export interface Lockouts extends LockoutReader {
  /** Read anew. */
  list(): Promise<UserLockouts | null>
}

export function openLockouts(source: PrivacyIdeaPort, clock: Clock): Lockouts {
  let last: { readonly atMs: number; readonly list: Promise<UserLockouts | null> } | null = null
  const list = (): Promise<UserLockouts | null> => {
    last = { atMs: clock.nowMs(), list: read(source) }
    return last.list
  }
  const young = (): Promise<UserLockouts | null> => {
    return last !== null && clock.nowMs() - last.atMs < LIST_AGE_MAX_MS ? last.list : list()
  }
  return {
    list,
    // Every caller of the same list gets its failure.
    begin: () => void young().catch(() => undefined),
    async userCalled(login, realm) {
      // The record may have the login as a request spelled it; the exact spelling distinguishes two users of one realm.
      const users = ((await young())?.lockouts ?? []).map(({ user }) => user).filter((user) => user.realm === realm)
      const alike = users.filter((user) => user.login.toLowerCase() === login.toLowerCase())
      return alike.find((user) => user.login === login) ?? (alike.length === 1 ? (alike[0] ?? null) : null)
    },
    async of(user) {
      const known = await young()
      if (known === null) return 'unknown'
      const found = known.lockouts.find((each) => isSameUser(each.user, user))
      if (found !== undefined) return lockoutOf(found)
      return known.odd.some((each) => mayBe(each, user)) ? 'unknown' : null
    },
  }
}

/** A row that names nobody at all is about nobody here: it must not keep everybody's lockout from ending. */
function mayBe(odd: OddLockout, user: UserOfSource): boolean {
  const names = ['login', 'realm', 'resolver', 'userId'] as const
  const named = names.filter((name) => odd[name] !== null)
  return named.length > 0 && named.every((name) => odd[name] === user[name])
}

/** Without the right to see them nothing is known; every other failure is one. */
async function read(source: PrivacyIdeaPort): Promise<UserLockouts | null> {
  try {
    return await source.userLockouts()
  } catch (thrown) {
    if (toAppError(thrown).code === 'source-not-permitted') return null
    throw thrown
  }
}

export function lockoutOf({ untilMs, cause }: UserLockout): Lockout {
  return { untilUs: untilMs === null ? null : untilMs * 1000, cause }
}
