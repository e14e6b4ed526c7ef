import { toAppError, type AppError } from '../core/error.ts'
import type { PolicySettings } from '../core/settings/settings.ts'
import type { Token, UserOfSource } from '../core/source/token.ts'
import { isLockedAlone } from '../core/source/snapshot.ts'
import { causeOf, type UnplacedCause, type UnplacedToken } from '../core/reasons/unplaced.ts'
import type { DirectoryPort, FoundAccount } from '../ports/directory.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { NotedAccount } from '../ports/store/store.ts'

/**
 * The place of an owner. One who cannot be placed is a finding of their own, and delays nobody else; nothing follows
 * from a directory that does not answer.
 */
export type Place =
  | { readonly kind: 'account'; readonly account: NotedAccount }
  | { readonly kind: 'unplaced'; readonly cause: UnplacedCause }
  /** The realm has no directory on purpose. */
  | { readonly kind: 'excluded' }
  | { readonly kind: 'silent'; readonly error: AppError }

/** The account of a user: by the id in the resolver where that is the directory's own, else by login. */
export async function placeOfUser(
  user: UserOfSource,
  { directory }: { readonly directory: Pick<DirectoryPort, 'findByUser'> },
): Promise<Place> {
  try {
    return placeFound(user, await directory.findByUser(user))
  } catch (thrown) {
    return placeOfError(toAppError(thrown))
  }
}

export function placeFound(user: UserOfSource, { key, dn }: FoundAccount): Place {
  // A token's owner is a user as well, with more to it.
  const { login, realm, resolver, userId } = user
  return { kind: 'account', account: { key, dn, login, realm, user: { login, realm, resolver, userId } } }
}

/** Errors that are not about owners and directories are thrown. */
export function placeOfError(error: AppError): Place {
  const cause = causeOf(error)
  if (cause === 'excluded') return { kind: 'excluded' }
  if (cause !== null) return { kind: 'unplaced', cause }
  if (!error.code.startsWith('directory-')) throw error
  return { kind: 'silent', error }
}

/** Why the owner cannot be looked up; null: they are a user or nobody, or their user store does not answer. */
export async function causeOfOwner(
  { owner }: Token,
  source: Pick<PrivacyIdeaPort, 'isResolverGone'>,
): Promise<UnplacedCause | null> {
  switch (owner.kind) {
    case 'user':
    case 'none':
      return null
    case 'orphan':
      return 'user-gone'
    case 'unreadable':
      return 'unreadable'
    case 'resolver-error':
      if (owner.resolver !== null && (await source.isResolverGone(owner.resolver))) return 'resolver-gone'
      return owner.isHomeless ? 'realm-gone' : null
  }
}

/** A token whose user is gone locks nobody: there is nobody to log in. */
export function unplacedToken(token: Token, cause: UnplacedCause, policy: PolicySettings): UnplacedToken {
  const { serial, owner } = token
  const isFull = cause !== 'user-gone' && cause !== 'unreadable' && isLockedAlone(token, policy)
  const { resolver, userId } = owner.kind === 'none' ? { resolver: null, userId: null } : owner
  const { login, realm } = owner.kind === 'user' ? owner : { login: null, realm: null }
  return { serial, cause, login, realm, resolver, userId, isFull }
}
