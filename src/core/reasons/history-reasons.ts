import { span } from '../format/duration.ts'
import type { ErrorCode } from '../error.ts'
import type { DirectoryName } from '../names.ts'
import { percentOf } from '../format/counted.ts'
import { type LimitReached, lossCauseText, type LossCause } from './limits.ts'

/**
 * Why an account was locked or unlocked, why a serial was written or removed, why an account or an event has its
 * status: codes with parameters, from the plan to the journal, the ledger, the LDIF header, the mail and the JSON. The
 * English sentences are here; the German ones of mails are in notify/.
 *
 * `said` is text that came with an error. It is shown, and does not count when two reasons are compared.
 */
export interface HistoryParams {
  // Why an account is held
  'token-max-fail': OfToken
  /** A token of the user; it was not reported which. */
  'user-token-max-fail': Nothing
  /** By policy.disabledTokens, policy.revokedTokens. */
  'token-disabled': OfToken
  'token-revoked': OfToken
  /** privacyIDEA locks the user out, whatever the state of their tokens. */
  'user-lockout': Nothing
  /** The same, after too many failed logins, and by a person in privacyIDEA. */
  'user-lockout-failures': Nothing
  'user-lockout-by-hand': Nothing
  /** A person locked or unlocked it by hand; `text`: their reason. */
  manual: { readonly text: string }
  /** A change was undone; `kind` and `change` are its own, `text` is the reason that a person gave. */
  undo: { readonly kind: string; readonly change: string; readonly text?: string }
  /** An LDIF folder had it, and the store did not. */
  'restored-from-folders': Nothing

  // Why it is not held any more
  'no-hold-left': Nothing
  /** The fail counter was reset, or the token enabled again. */
  'token-usable': OfToken
  'user-tokens-usable': Nothing
  'token-enrolled-anew': OfToken
  'lockout-ended': Nothing
  /** By a person's order everything of ours is removed from the directory; of a serial as well. */
  'directory-retired': { readonly directory: DirectoryName }
  /** A lock of a limited time has ended. */
  'hold-expired': Nothing
  /** A rule of guards.protect applies; `rule`: which. */
  'account-protected': { readonly rule: string }
  /** `places` have changed since, and the configuration no longer names them: they were left unchanged. */
  'unlocked-in-part': { readonly places: readonly string[] }
  'lock-adopted': Nothing
  /** Of a waiting file that is written anew. */
  'lock-release': Nothing
  /** `lockstep doctor --probe` tries a lock. */
  'doctor-probe': Nothing

  // What happened to a lock of ours without a write of ours
  'holds-changed': Nothing
  /** It is gone from the directory, and was due to be removed. */
  'lock-gone': { readonly places: readonly string[] }
  'lock-replaced': Nothing
  /** Somebody removed it in the directory; `passwordSetAt`: by a new password, ISO 8601. */
  'lock-removed': { readonly passwordSetAt: string | null }

  // Why a serial is written or removed
  'token-assigned': OfToken
  'token-unassigned': OfToken
  'token-moved': OfToken

  // The status of an account
  /** It is locked by a value like ours that is not on record as ours. */
  'lock-not-ours': Nothing
  'lock-not-effective': Said
  'changes-paused': { readonly directory: DirectoryName | null }
  /** `would`: the changes that would have been written. */
  'dry-run': {
    readonly of: 'everything' | 'directory' | 'realm'
    readonly name: string
    readonly would: readonly string[]
  }
  'protection-unread': Failed
  /** The breaker holds a lock back. */
  'breaker-limit': LimitReached
  'keeps-changing': Nothing
  'account-gone': Nothing
  'operation-failed': Failed
  'source-unread': Failed
  'mirror-held-back': Nothing
  'mirror-failed': Failed
  /** Nothing was written: other accounts have the serial. */
  'serial-carried-elsewhere': OfToken & { readonly at: readonly string[] }
  'serial-too-long': OfToken & {
    readonly attribute: string
    readonly dn: string
    readonly length: number
    readonly max: number
  }
  several: { readonly reasons: readonly AnyReason[] }

  // Why an event needs no account
  'names-nobody': Nothing
  'token-without-owner': Nothing
  'registration-without-serial': Nothing
  'unregistration-without-serial': Nothing
  /** Mode api: privacyIDEA was asked instead. */
  'event-is-hint': Nothing
  'gave-up': Failed
  'event-unreadable': Said

  // What is reported, and is about no single account
  'loss-held-back': OfToken & { readonly cause: LossCause | null }
  /** A full resync found differences; the first of them. */
  'drift-found': { readonly first: readonly DriftFound[] }
  /** Of a difference. */
  'token-not-on-record': OfToken & { readonly login: string }
  'token-listed-again': OfToken
  'token-changed-owner': OfToken & { readonly login: string }
  'token-ownerless': OfToken
  'token-gone': OfToken
  'token-and-resolver-gone': OfToken
  /** privacyIDEA has no token of that serial. */
  'token-unknown': OfToken
  'token-of-another-account': OfToken
  'user-tokens-unusable': Nothing
  'serial-removed': OfToken
  'lock-before-store': Nothing
}

/** A reason within another one. */
export interface AnyReason {
  readonly code: string
  readonly params: object
}

type Nothing = Readonly<Record<string, never>>

export interface DriftFound {
  readonly account: string
  readonly serial: string | null
  readonly why: AnyReason
}

interface OfToken {
  readonly serial: string
}

interface Said {
  readonly said: string
}

interface Failed extends Said {
  readonly error: ErrorCode
}

export type HistoryCode = keyof HistoryParams

export const HISTORY_TEXTS: {
  readonly [Code in HistoryCode]: (params: HistoryParams[Code], textOf: (reason: AnyReason) => string) => string
} = {
  'token-max-fail': ({ serial }) => `token ${serial} reached its max fail count`,
  'user-token-max-fail': () => 'a token of the user reached its max fail count',
  'token-disabled': ({ serial }) => `token ${serial} is disabled`,
  'token-revoked': ({ serial }) => `token ${serial} is revoked`,
  'user-lockout': () => 'privacyIDEA keeps the user out',
  'user-lockout-failures': () => 'privacyIDEA keeps the user out after too many failed logins',
  'user-lockout-by-hand': () => 'somebody locked the user in privacyIDEA',
  manual: ({ text }) => (text === '' ? 'by hand' : text),
  undo: ({ kind, change, text }) => `undo of ${kind} ${change}${text === undefined ? '' : `: ${text}`}`,
  'restored-from-folders': () => 'restored from the LDIF folders',

  'no-hold-left': () => 'no hold is left',
  'token-usable': ({ serial }) => `token ${serial} can be used again`,
  'user-tokens-usable': () => 'the tokens of the user can be used again',
  'token-enrolled-anew': ({ serial }) => `token ${serial} was enrolled anew`,
  'lockout-ended': () => 'privacyIDEA no longer keeps the user out',
  'directory-retired': ({ directory }) => `directory ${directory} is retired (lockstep retire)`,
  'hold-expired': () => 'the time of the lock is over',
  'account-protected': ({ rule }) => `protected account, not locked: ${rule}`,
  'unlocked-in-part': ({ places }) => `no hold is left${notRestored(places)}`,
  'lock-adopted': () => 'what is there was adopted',
  'lock-release': () => 'takes our lock away',
  'doctor-probe': () => 'lockstep doctor tries a lock',

  'holds-changed': () => 'holds changed',
  'lock-gone': ({ places }) => `our lock no longer stands in the directory${notRestored(places)}`,
  'lock-replaced': () => 'our lock was replaced by somebody else’s',
  'lock-removed': ({ passwordSetAt }) =>
    passwordSetAt === null
      ? 'somebody took the lock away in the directory'
      : `a new password, set at ${passwordSetAt}, took the lock away in the directory`,

  'token-assigned': ({ serial }) => `token ${serial} was assigned`,
  'token-unassigned': ({ serial }) => `token ${serial} was unassigned or deleted`,
  'token-moved': ({ serial }) => `token ${serial} belongs to another account now`,

  'lock-not-ours': () => 'the account is locked by somebody else; that lock is left alone',
  'lock-not-effective': ({ said }) => said,
  'changes-paused': ({ directory }) => {
    const [of, how] = directory === null ? ['', ''] : [` of directory ${directory}`, ` --directory ${directory}`]
    return `changes${of} are paused (lockstep resume${how} lets them go on)`
  },
  'dry-run': ({ of, name, would }) => {
    const what = `dry run of ${of === 'everything' ? of : `${of} ${name}`}`
    return would.length === 0 ? what : `${what}, not written: ${would.join(', ')}`
  },
  'protection-unread': ({ said }) => `not locked while it cannot be determined whether the account is protected: ${said}`,
  'breaker-limit': ({ counted, allowed, perMs, share, until }) => {
    const where = counted === 'all' ? '' : ` of ${counted}`
    const part = share === null ? '' : ` (${percentOf(share)} of its accounts)`
    const waits = until === 'review' ? 'waits for lockstep review' : 'waits for lockstep review, or for room'
    return `at most ${allowed} ${allowed === 1 ? 'lock' : 'locks'}${where} within ${span(perMs)}${part}; ${waits}`
  },
  'keeps-changing': () => 'something else keeps changing the account in the directory',
  'account-gone': () => 'the account no longer exists in the directory',
  'operation-failed': ({ said }) => said,
  'source-unread': ({ said }) => `privacyIDEA could not be asked: ${said}`,
  'mirror-held-back': () => 'the breaker holds back what somebody else’s lock in the directory is to do in privacyIDEA',
  'mirror-failed': ({ said }) => `privacyIDEA could not be notified of the lock in the directory: ${said}`,
  'serial-carried-elsewhere': ({ serial, at }) =>
    `serial ${serial} is already at ${at.join(' and ')}: nothing was written; remove it there, or register the token anew`,
  'serial-too-long': ({ serial, attribute, dn, length, max }) =>
    `${attribute} of ${dn} would be too long with serial ${serial}: ${length} characters, and the server takes ${max}; nothing was written`,
  several: ({ reasons }, textOf) => reasons.map(textOf).join('; '),

  'names-nobody': () => 'names neither a user nor a serial',
  'token-without-owner': () => 'the token has no owner',
  'registration-without-serial': () => 'a registration without a serial',
  'unregistration-without-serial': () => 'an unregistration without a serial',
  'event-is-hint': () => 'a hint: privacyIDEA is asked',
  'gave-up': ({ said }) => `gave up: ${said}`,
  'event-unreadable': ({ said }) => said,

  'loss-held-back': ({ serial, cause }) =>
    `token ${serial}: ${cause === null ? 'it was lost' : lossCauseText(cause)}, as are many others; serial and lock stay until lockstep review`,
  'drift-found': ({ first }, textOf) =>
    first
      .map(({ account, serial, why }) => `${account}${serial === null ? '' : ` ${serial}`}: ${textOf(why)}`)
      .join('; '),
  'token-not-on-record': ({ serial, login }) => `token ${serial} of ${login} is not on record`,
  'token-listed-again': ({ serial }) => `token ${serial} is listed again`,
  'token-changed-owner': ({ serial, login }) => `token ${serial} belongs to ${login} now`,
  'token-ownerless': ({ serial }) => `token ${serial} has no owner any more`,
  'token-gone': ({ serial }) => `token ${serial} is gone`,
  'token-and-resolver-gone': ({ serial }) => `token ${serial} is gone, and its resolver`,
  'token-unknown': ({ serial }) => `no token ${serial} exists`,
  'token-of-another-account': ({ serial }) => `token ${serial} is not that of this account`,
  'user-tokens-unusable': () => 'all tokens of the user are at their max fail count, disabled or revoked',
  'serial-removed': () => 'somebody took the serial off the account',
  'lock-before-store': () => 'it has the value of our locks, and stood before this store was made',
}

export function isHistoryCode(code: string): code is HistoryCode {
  return Object.hasOwn(HISTORY_TEXTS, code)
}

function notRestored(places: readonly string[]): string {
  if (places.length === 0) return ''
  return `; not restored, as it has changed and the configuration no longer names it: ${places.join(', ')}`
}
