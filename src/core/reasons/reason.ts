import { counted } from '../format/counted.ts'
import type { AnyReason, HistoryParams } from './history-reasons.ts'
import { HISTORY_TEXTS, isHistoryCode, type Sentences, type TextOf } from './history-texts.ts'
import type { OtherLockCause } from './other-lock-cause.ts'
import { CAUSE_FIX, unplacedText, type UnplacedGroup } from './unplaced.ts'
import { rendersBareCodes } from '../wording.ts'
import { type LimitReached, lossLimitText, type LossLimit } from './limits.ts'

/**
 * A reason: a code with parameters, so that nothing depends on a sentence. The sentence is made where it
 * is shown, by `reasonText`; what to do about it by `reasonFix`. The reasons of accounts, changes and events are in
 * `history-reasons.ts`; those of findings are here.
 */
export interface ReasonParams extends HistoryParams, FindingParams {}

interface FindingParams {
  /** The sentence itself, as older versions wrote it. */
  'plain-text': { readonly text: string }
  /** An account has a lock of somebody else; `besides`: and a lock of ours. */
  'locked-by-others': { readonly cause: OtherLockCause; readonly attribute: string; readonly besides: boolean }
  /** Of one account: what may be somebody else's lock, and cannot be judged. */
  'other-lock-unclear': { readonly attribute: string }
  /** A server of a directory cut a search over its accounts short, so that the full resync did not see them all. */
  'search-cut': { readonly directory: string; readonly said: string }
  /** A directory that the full resync did not compare, for another cause. */
  'directory-left-out': { readonly directory: string; readonly code: string; readonly said: string }
  /** Of a directory: so many accounts have this status; the first of them. */
  'other-locks-unclear': {
    readonly directory: string
    readonly attribute: string
    readonly accounts: number
    readonly first: readonly string[]
  }
  /** Two tokens whose serials are the same but for the case; `serials`: the first pairs. */
  'serials-differ-by-case': { readonly count: number; readonly serials: string }
  /** Losses are pending in the review queue; `serial` is the first. */
  'losses-held-back': LossLimit & { readonly serial: string }
  /** The LDIF folders prove what is not in the store: it is older than they are, as a restored backup is. */
  'store-older-than-folders': {
    /** Accounts whose lock or serial was adopted from the folders. */
    readonly adopted: number
    /** Accounts whose lock the folders prove to be released since. */
    readonly released: number
    /** The first few of their files. */
    readonly files: readonly string[]
  }
  /** The clock is behind what is on record: it was set back, or was ahead before. */
  'clock-behind': { readonly newestMs: number }
  /** Mode api: so many of the last locks were found by the scan alone, though event handlers are bound. */
  'locks-without-event': { readonly unannounced: number; readonly locks: number }
  /** Requests to the webhook with another secret than ours, from networks that may call. */
  'webhook-secret-wrong': RefusedParams
  /** Requests that it refused for another cause. */
  'webhook-refused': RefusedParams & { readonly cause: 'refused-network' | 'wrong-path' | 'rate-limited' }
  /** LDIF folders were missing or replaced while they were in use. */
  'folders-made-again': {
    readonly folders: readonly string[]
    /** Waiting files that were written again from the record. */
    readonly written: number
    /** Serials whose file the record cannot write. */
    readonly lost: number
  }
  /** Waiting files that are not in the store, and that the directory did not prove or disprove yet. */
  'unproven-files': { readonly count: number; readonly files: readonly string[]; readonly why: string }
  /** Tokens whose owners have no account; none of them is full. */
  'owners-unplaced': UnplacedGroup
  /** The same, and some of them would lock an account. */
  'owners-unplaced-full': UnplacedGroup
  /** Rows among privacyIDEA's tokens that are no tokens; the names are their serials. */
  'odd-tokens': { readonly count: number; readonly names: readonly string[]; readonly why: string }
  /** Another privacyIDEA answers: it shows so many of the tokens by which the one on record is recognized. */
  'source-changed': { readonly tokens: number; readonly shown: number; readonly auditRows: number }
  /** Serials and locks in a directory that this store neither wrote nor adopted, and the first few of them. */
  'unowned-marks': { readonly serials: number; readonly locks: number; readonly first: readonly string[] }
  /** Accounts of a directory have holds and are not locked; the DN of the first. */
  protected: { readonly directory: string; readonly first: string }
  /** Many accounts of a directory are no longer found. */
  'accounts-gone': { readonly directory: string; readonly gone: number; readonly held: number }
  /** A limit of the breaker is reached, and locks are pending. */
  breaker: LimitReached
  /** A lock equals one of ours that may have come late, and somebody else wrote to the entry after it. */
  'late-lock-unclear': LateParams
  /** An unlock of ours came late, after a new lock; the accounts were locked again. */
  'late-unlock': LateParams
  /** privacyIDEA refuses the reset of fail counters that were to be reset: it was left out, and all else was done. */
  'reset-refused': { readonly serials: readonly string[] }
}

interface RefusedParams {
  readonly count: number
  readonly sinceMs: number
  /** When the last one came; left out by older versions. */
  readonly lastMs?: number
  /** The address of the last one. */
  readonly from: string
}

interface LateParams {
  readonly directory: string
  /** How many accounts it is about. */
  readonly accounts: number
  /** The first of their logins, or DNs. */
  readonly names: readonly string[]
}

export type ReasonCode = keyof ReasonParams

export type Reason<Code extends ReasonCode = ReasonCode> = {
  readonly [Each in Code]: { readonly code: Each; readonly params: ReasonParams[Each] }
}[Code]

interface Wording<Params> {
  /** What happened and where, in one sentence without its full stop. */
  text(params: Params): string
  /** The same in German, where a mail can give it; left out: the code is named. */
  german?(params: Params): string
  /** What to do, with the command to run; '' where there is nothing to do. */
  fix(params: Params): string
  /** `attention`: while a finding of this code is open, `status` is not ok. `note`: for information. */
  readonly gravity: 'attention' | 'note'
}

const WORDINGS: { readonly [Code in keyof FindingParams]: Wording<FindingParams[Code]> } = {
  'plain-text': {
    text: ({ text }) => text,
    german: () => 'Näheres zeigt lockstep journal',
    fix: () => '',
    gravity: 'note',
  },
  'locked-by-others': {
    text: ({ cause, attribute, besides }) => {
      const what = `somebody else’s lock stands there: ${CAUSES[cause]} (${attribute})`
      return besides ? `locked by us, and ${what}; it stays when ours is removed` : `${what}; it is left alone`
    },
    german: ({ cause, attribute, besides }) => {
      const what = `eine Sperre, die nicht von Lockstep stammt: ${GERMAN_CAUSES[cause]} (${attribute})`
      return besides ? `gesperrt von Lockstep, und daneben steht ${what}` : `dort steht ${what}; sie bleibt unberührt`
    },
    fix: () => '',
    gravity: 'note',
  },
  'other-lock-unclear': {
    text: ({ attribute }) =>
      `whether ${attribute} locks the account cannot be judged: which password policy applies to it could not be read`,
    german: ({ attribute }) =>
      `ob ${attribute} das Konto sperrt, ist nicht zu erkennen: Die geltende Passwortrichtlinie ist nicht lesbar`,
    fix: () => POLICY_FIX,
    gravity: 'note',
  },
  'search-cut': {
    text: ({ directory, said }) =>
      `the full resync left out directory ${directory}: a limit of its server cut the search over the accounts short, also in parts: ${said}`,
    fix: ({ directory }) =>
      `Raise the limits for the account that Lockstep binds as; the lines: lockstep doctor (directory ${directory}, "search-limit"). Then: lockstep resync`,
    gravity: 'attention',
  },
  'directory-left-out': {
    text: ({ directory, said }) => `the full resync left out directory ${directory}: ${said}`,
    fix: () => 'It is compared with the next full resync that can read it: lockstep resync',
    gravity: 'attention',
  },
  'other-locks-unclear': {
    text: ({ directory, attribute, accounts, first }) => {
      const names = first.join(' and ')
      const many = counted(accounts, 'account')
      return `directory ${directory}: whether ${attribute} locks ${many} cannot be judged, since the password policy that applies could not be read: ${names}${accounts > first.length ? ' and others' : ''}`
    },
    fix: () => POLICY_FIX,
    gravity: 'attention',
  },
  'serials-differ-by-case': {
    text: ({ count, serials }) =>
      count === 1
        ? `two tokens differ by the case of their serial only: ${serials}; each is compared exactly`
        : `${count} pairs of tokens differ by the case of their serials only, the first: ${serials}; each is compared exactly`,
    fix: () =>
      'Find out who made the later one (lockstep show SERIAL), delete it in privacyIDEA, and enroll it anew with another serial.',
    gravity: 'attention',
  },
  'losses-held-back': {
    text: ({ serial, ...limit }) =>
      `more tokens than usual have vanished from privacyIDEA: ${lossLimitText(limit)}; from token ${serial} on, serials and locks stay as they are`,
    fix: () => 'lockstep review shows what waits; approve it, or reject it to keep serials and locks',
    gravity: 'attention',
  },
  'store-older-than-folders': {
    text: ({ adopted, released, files }) =>
      `the store is older than the LDIF folders, as a restored backup is: ${counted(adopted, 'account')} adopted from the files, ${released} released as the history says (${listed(files)})`,
    fix: () => 'Events since the backup are lost: compare what matters, with lockstep accounts and lockstep show.',
    gravity: 'note',
  },
  'clock-behind': {
    text: ({ newestMs }) =>
      `the clock of this machine is wrong, or was: the newest event on record came in at ${new Date(newestMs).toISOString()}, which is still to come. New events count as newer all the same`,
    fix: () =>
      'Set the clock, and keep it right: timedatectl set-ntp true. If it is right now, it was ahead before: this ends by itself at that time',
    gravity: 'attention',
  },
  'locks-without-event': {
    text: ({ unannounced, locks }) =>
      `${unannounced} of the last ${locks} locks came without an event: the scan found them, some seconds later`,
    fix: () =>
      'Likely causes: a script that privacyIDEA may not run (sudo lockstep shims test DIR), another secret or network at the webhook (lockstep status), changed event handlers (lockstep doctor --privacyidea-admin NAME), or failed logins at /auth, which fire no event',
    gravity: 'note',
  },
  'webhook-secret-wrong': {
    text: ({ count, sinceMs, from }) =>
      `the webhook refused ${counted(count, 'request')} with a wrong secret since ${new Date(sinceMs).toISOString()}, the last one from ${from}: if that is privacyIDEA, its events are lost`,
    fix: () =>
      'Compare the URL in privacyIDEA’s event handlers with intake.http.hookSecretFile: lockstep doctor --privacyidea-admin NAME; lockstep privacyidea setup --via webhook writes the right one',
    gravity: 'attention',
  },
  'webhook-refused': {
    text: ({ count, sinceMs, from, cause }) =>
      `the webhook refused ${counted(count, 'request')} ${REFUSED_FOR[cause]} since ${new Date(sinceMs).toISOString()}, the last one from ${from}`,
    fix: ({ cause }) => REFUSED_FIX[cause],
    gravity: 'note',
  },
  'folders-made-again': {
    text: ({ folders, written, lost }) =>
      `LDIF folders were missing or replaced while Lockstep used them (${listed(folders)}): they are there again, with ${counted(written, 'waiting file')} written anew from the record${lost === 0 ? '' : `; for ${counted(lost, 'serial')} the record has no file`}`,
    fix: () => 'Find out who removed them. Their history is gone, unless you put it back from a backup.',
    gravity: 'note',
  },
  'unproven-files': {
    text: ({ count, files, why }) =>
      `${count} waiting LDIF files are kept that the store has nothing of, until the directory shows what they are worth (${listed(files)}): ${why}`,
    fix: () =>
      'Nothing, where the directory comes back: they are looked at again. A file can be applied with ldapmodify -f.',
    gravity: 'attention',
  },
  'owners-unplaced': { text: unplacedText, fix: ({ cause }) => CAUSE_FIX[cause], gravity: 'note' },
  'owners-unplaced-full': { text: unplacedText, fix: ({ cause }) => CAUSE_FIX[cause], gravity: 'attention' },
  'odd-tokens': {
    text: ({ count, names, why }) =>
      `${count} of the tokens that privacyIDEA lists cannot be read (${names.join(', ')}): ${why}`,
    fix: () => 'Look at these tokens in privacyIDEA; all others are followed.',
    gravity: 'attention',
  },
  'source-changed': {
    text: ({ tokens, shown, auditRows }) => {
      const log = auditRows === 0 ? '' : ', and its audit log does not hold what the log of that one held'
      return `another privacyIDEA answers than the one on record: it shows ${shown} of the ${tokens} tokens by which that one is recognized${log}. Nothing is removed or unlocked because it does not show it`
    },
    fix: () =>
      'Where the wrong server answers, correct privacyidea.url. Where it is meant: lockstep resync --adopt lists what would be removed and unlocked, and lockstep resync --adopt --yes does it',
    gravity: 'attention',
  },
  'unowned-marks': {
    text: ({ serials, locks, first }) =>
      `${counted(serials, 'serial')} that privacyIDEA does not place there and ${counted(locks, 'lock')} with the same value as ours are not of this store’s making, and were left: ${first.join(', ')}`,
    fix: () =>
      'lockstep resync --adopt lists them; lockstep resync --adopt --yes removes the serials and releases the locks that nothing holds',
    gravity: 'attention',
  },
  protected: {
    text: ({ directory, first }) =>
      `accounts of directory ${directory} have holds and are not locked, since they are protected; the first: ${first}`,
    fix: () => '',
    gravity: 'note',
  },
  'accounts-gone': {
    text: ({ directory, gone, held }) =>
      `${gone} of ${held} accounts of directory ${directory} that hold a lock or are to be locked are no longer found: was its base emptied, or is it another server? Nothing is given up`,
    fix: () => '',
    gravity: 'note',
  },
  breaker: { text: (limit) => HISTORY_TEXTS['breaker-limit'].en(limit, () => ''), fix: () => '', gravity: 'note' },
  'late-lock-unclear': {
    text: (params) =>
      `directory ${params.directory}: ${named(params)} locked by a value that a write of Lockstep’s may have left late, and somebody else has written to the entry since; it counts as theirs`,
    fix: () =>
      'If nobody else locked it, run: lockstep unlock LOGIN --adopt --reason TEXT. Otherwise leave it: this ends when that lock is gone.',
    gravity: 'attention',
  },
  'late-unlock': {
    text: (params) =>
      `directory ${params.directory}: ${named(params)} unlocked for a moment by a write of Lockstep’s that arrived late, and locked again`,
    fix: () => 'Nothing is left to do. Look at the network to that directory if it happens again.',
    gravity: 'note',
  },
  'reset-refused': {
    text: ({ serials }) =>
      `the fail counter of ${listed(serials)} was to be reset, and privacyIDEA refuses it; the account is unlocked all the same`,
    fix: () =>
      'Give the right reset: lockstep privacyidea setup --policies (lockstep doctor shows the policy). Then reset the token in privacyIDEA, or: lockstep unlock LOGIN --reset-token --reason TEXT',
    gravity: 'attention',
  },
}

const REFUSED_FOR = {
  'refused-network': 'from networks that may not call',
  'wrong-path': 'for other paths',
  'rate-limited': 'beyond the rate',
}
const REFUSED_FIX = {
  'refused-network': 'If it is privacyIDEA, add its address to intake.http.allow; else nothing.',
  'wrong-path':
    'The URL ends with /hooks/privacyidea/SECRET/KIND, and KIND is register, lock, unlock or unregister: lockstep privacyidea setup --via webhook',
  'rate-limited': 'Their events are lost; raise intake.http.rateLimit if privacyIDEA sends so many.',
}

/** `alice, bob and 3 more are`. */
function named({ accounts, names }: LateParams): string {
  const more = accounts - names.length
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''} ${accounts === 1 ? 'is' : 'are'}`
}

const CAUSES: { readonly [Cause in OtherLockCause]: string } = {
  expired: 'the account has expired',
  'not-yet-valid': 'the account is not valid yet',
  'too-many-failures': 'locked after too many failed logins',
  disabled: 'disabled in the directory',
  'own-value': 'it has the value that Lockstep writes, and Lockstep did not write it',
}

const GERMAN_CAUSES: { readonly [Cause in OtherLockCause]: string } = {
  expired: 'das Konto ist abgelaufen',
  'not-yet-valid': 'das Konto gilt noch nicht',
  'too-many-failures': 'nach zu vielen fehlgeschlagenen Anmeldungen gesperrt',
  disabled: 'im Verzeichnis deaktiviert',
  'own-value': 'sie hat den Wert, den Lockstep schreibt, und Lockstep hat sie nicht geschrieben',
}

const POLICY_FIX =
  'Give the account that Lockstep binds as the right to read the policies and cn=config (docs/how-to/openldap.md); lockstep doctor shows what it cannot read.'

export type Language = keyof Sentences<never>

/** One sentence for people; '' where there is no reason. */
export function reasonText(reason: Reason | null, language: Language = 'en'): string {
  if (reason === null) return ''
  return rendersBareCodes() ? reason.code : sentence(reason, language)
}

function sentence({ code, params }: AnyReason, language: Language): string {
  const textOf: TextOf = (each) => sentence(each, language)
  if (isHistoryCode(code)) return (HISTORY_TEXTS[code] as Sentences<object>)[language](params, textOf)
  if (!isFindingCode(code)) return code
  const wording = WORDINGS[code] as Wording<object>
  return language === 'en' ? wording.text(params) : (wording.german?.(params) ?? code)
}

/** What to do about it, for people; '' where there is nothing to do. */
export function reasonFix({ code, params }: Reason): string {
  return isFindingCode(code) && !rendersBareCodes() ? (WORDINGS[code] as Wording<object>).fix(params) : ''
}

export function reasonGravity(code: ReasonCode): 'attention' | 'note' {
  return isFindingCode(code) ? WORDINGS[code].gravity : 'note'
}

export function isReasonCode(text: string): text is ReasonCode {
  return isHistoryCode(text) || isFindingCode(text)
}

function isFindingCode(text: string): text is keyof FindingParams {
  return Object.hasOwn(WORDINGS, text)
}

/** A sentence of an older version; it is shown unchanged. */
export function plainReason(text: string): Reason {
  return { code: 'plain-text', params: { text } }
}

/** As it is in the store and in JSON; null for everything else, and for a code of a newer version. */
export function parseReason(value: unknown): Reason | null {
  if (typeof value !== 'object' || value === null) return null
  const { code, params } = value as { code?: unknown; params?: unknown }
  if (typeof code !== 'string' || !isReasonCode(code) || typeof params !== 'object' || params === null) return null
  return { code, params } as Reason
}

/** Parameters that are text from outside, and do not count when two reasons are compared. */
const NOT_COMPARED: readonly string[] = ['said']

/** By codes and parameters. A sentence of an older version may be any reason: then the account's status decides. */
export function isSameReason(a: Reason | null, b: Reason | null): boolean {
  if (a === null || b === null) return a === b
  if (a.code === 'plain-text' || b.code === 'plain-text') return true
  const compared = (name: string, value: unknown): unknown => (NOT_COMPARED.includes(name) ? undefined : value)
  return a === b || (a.code === b.code && JSON.stringify(a.params, compared) === JSON.stringify(b.params, compared))
}

/** For JSON: the sentence, and what it was made from. */
export function shownReason(reason: Reason | null): {
  readonly reason: string
  readonly reasonCode: ReasonCode | null
  readonly reasonParams: object
} {
  return { reason: reasonText(reason), reasonCode: reason?.code ?? null, reasonParams: reason?.params ?? {} }
}

const LISTED_MAX = 5

function listed(names: readonly string[]): string {
  return names.length <= LISTED_MAX ? names.join(', ') : `${names.slice(0, LISTED_MAX).join(', ')} …`
}
