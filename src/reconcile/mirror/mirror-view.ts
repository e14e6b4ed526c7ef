import { isOurLockout } from '../../core/source/mirror.ts'
import type { Serial } from '../../core/names.ts'
import type { Token, UserOfSource } from '../../core/source/token.ts'
import type { MirrorPort } from '../../ports/store/mirror.ts'
import type { PrivacyIdeaPort, UserLockout } from '../../ports/privacyidea.ts'
import { withMappedTokens } from '../source/mapped-tokens.ts'

/**
 * privacyIDEA as it would be without what we did there ourselves because of the directory: a reader of this view
 * never takes it for a reason to lock the account, so that nothing comes back as an echo.
 */
export function withoutMirror(source: PrivacyIdeaPort, record: MirrorPort): PrivacyIdeaPort {
  const seen = async (tokens: readonly Token[]): Promise<readonly Token[]> => {
    const disabled = tokens.filter((token) => !token.isActive && !token.isRevoked)
    if (disabled.length === 0) return tokens
    const ours: ReadonlySet<Serial> = await record.disabledOf(disabled.map(({ serial }) => serial))
    if (ours.size === 0) return tokens
    return tokens.map((token) => {
      return ours.has(token.serial) && !token.isRevoked ? { ...token, isActive: true, isDisabledByUs: true } : token
    })
  }
  return {
    ...withMappedTokens(source, seen),
    async userLockouts() {
      // One that is set or released while privacyIDEA answers is on record before, or still afterwards.
      const before = await record.lockouts()
      const found = await source.userLockouts()
      if (found.lockouts.length === 0) return found
      const ours = Map.groupBy([...before, ...(await record.lockouts())], ({ user }) => nameOf(user))
      const isOurs = (lockout: UserLockout): boolean =>
        (ours.get(nameOf(lockout.user)) ?? []).some((each) => isOurLockout(lockout, each))
      return { ...found, lockouts: found.lockouts.filter((lockout) => !isOurs(lockout)) }
    },
  }
}

function nameOf({ resolver, userId }: UserOfSource): string {
  return JSON.stringify([resolver, userId])
}
