import type { ErrorCode } from '../error.ts'
import type { DirectoryName } from '../names.ts'
import type { LimitReached, LossCause } from './limits.ts'

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
