import { counted } from '../format/counted.ts'
import type { AppError, ErrorCode } from '../error.ts'
import type { Login, Realm, ResolverName, Serial, UserId } from '../names.ts'

/**
 * Why an owner of a token has no account here. `realm-unmapped`: the configuration does not name the realm.
 * `no-account`: the directory has nobody of that id or login below its base. `several-accounts`: several accounts have
 * the login. `resolver-gone`: the resolver is in no realm of privacyIDEA, or was deleted. `realm-gone`: the realm was
 * deleted. `user-gone`: the user store has the user no more. `unreadable`: too little of the token can be read.
 */
export const UNPLACED_CAUSES = [
  'realm-unmapped',
  'no-account',
  'several-accounts',
  'resolver-gone',
  'realm-gone',
  'user-gone',
  'unreadable',
] as const
export type UnplacedCause = (typeof UNPLACED_CAUSES)[number]

/**
 * A single row of a token may be one of a token that is being made just now: its user is there, and its realm or its
 * login not yet. The other causes are answers of their own, of a directory or of the list of realms.
 */
const SEEN_TWICE: ReadonlySet<UnplacedCause> = new Set(['realm-gone', 'user-gone', 'unreadable'])
/** The two readings are at least so far apart: longer than any request of privacyIDEA takes. */
export const SEEN_AGAIN_AFTER_MS = 60_000

/** True where one reading is not enough to advise anybody. */
export function mustBeSeenAgain(cause: UnplacedCause): boolean {
  return SEEN_TWICE.has(cause)
}

/** A token whose owner has no account. */
export interface UnplacedToken {
  readonly serial: Serial
  readonly cause: UnplacedCause
  readonly login: Login | null
  readonly realm: Realm | null
  readonly resolver: ResolverName | null
  readonly userId: UserId | null
  /** It would lock an account, and there is none. */
  readonly isFull: boolean
}

/** Those of one cause. */
export interface UnplacedGroup {
  readonly cause: UnplacedCause
  readonly tokens: number
  readonly full: number
  readonly owners: number
  /** Of the first, the full ones before the others: `SERIAL (LOGIN@REALM)`. */
  readonly names: readonly string[]
}

const CAUSE_OF_CODE: Partial<Record<ErrorCode, UnplacedCause | 'excluded'>> = {
  'realm-unmapped': 'realm-unmapped',
  'realm-excluded': 'excluded',
  'unknown-user': 'no-account',
  'ambiguous-match': 'several-accounts',
}

/** @returns null where the error is not about the owner; `excluded`: the realm has no directory on purpose */
export function causeOf({ code }: AppError): UnplacedCause | 'excluded' | null {
  return CAUSE_OF_CODE[code] ?? null
}

export function isUnplacedCause(text: string): text is UnplacedCause {
  return UNPLACED_CAUSES.some((each) => each === text)
}

/** For people. */
export const CAUSE_TEXT: Readonly<Record<UnplacedCause, string>> = {
  'realm-unmapped': 'the realm is not under `realms` in the configuration',
  'no-account': 'the directory has no account for the owner',
  'several-accounts': 'several accounts of the directory have the login',
  'resolver-gone': 'the resolver is in no realm of privacyIDEA any more',
  'realm-gone': 'the realm of the owner was deleted in privacyIDEA',
  'user-gone': 'the user store of privacyIDEA does not have the owner any more',
  unreadable: 'privacyIDEA shows too little of the token',
}

/** What to do about it. */
export const CAUSE_FIX: Readonly<Record<UnplacedCause, string>> = {
  'realm-unmapped':
    'Add the realm under `realms`, with its directory, or with null where it has none on purpose. All of them: lockstep owners --unplaced',
  'no-account': 'Check base and userFilter of the directory. All of them: lockstep owners --unplaced',
  'several-accounts':
    'Narrow userFilter or base, or let the resolver use the id of the directory (UIDTYPE). All of them: lockstep owners --unplaced',
  'resolver-gone':
    'Put the resolver into a realm again; or where it is gone for good: lockstep resync --accept-drop. All of them: lockstep owners --unplaced',
  'realm-gone': 'Unassign or delete these tokens in privacyIDEA. All of them: lockstep owners --unplaced',
  'user-gone': 'Unassign or delete these tokens in privacyIDEA. All of them: lockstep owners --unplaced',
  unreadable: 'Look at these tokens in privacyIDEA. All of them: lockstep owners --unplaced',
}

/** For people; without its full stop. */
export function unplacedText({ cause, tokens, full, owners, names }: UnplacedGroup): string {
  const some = names.length < tokens ? `${names.join(', ')}, …` : names.join(', ')
  const counts = `${counted(tokens, 'token')} of ${counted(owners, 'owner')}`
  const locked = full === 0 ? '' : `, ${full} of them full,`
  return `${counts}${locked} ${tokens === 1 ? 'belongs' : 'belong'} to no account, since ${CAUSE_TEXT[cause]}: ${some}`
}
