import type { ErrorCode } from '../../core/error.ts'
import type { MailAddress, Mailbox } from '../../core/mail/mail-address.ts'
import type { MailFailing, MailRefusals, MailVerdict, Refusal } from '../../core/mail/mail-verdict.ts'
import type { MailLanguage } from '../../core/mail/mail-language.ts'
import type { AccountKey } from '../../core/names.ts'
import type { Digest, NoticeKind } from '../../core/mail/notice.ts'
import type { LeaseToken } from './store.ts'

/**
 * gathering: more may be added. waiting: complete, to be sent. sent: the server has it. refused: the server refused it
 * for good (5xx, and only this mail). expired: it was out of date. no-address: the owner has none. dropped: by a
 * person.
 */
export const MAIL_STATES = ['gathering', 'waiting', 'sent', 'refused', 'expired', 'no-address', 'dropped'] as const
export type MailState = (typeof MAIL_STATES)[number]

/** The recipient of a mail. */
export type Recipient =
  | { readonly kind: 'owner'; readonly account: AccountKey }
  | { readonly kind: 'help-desk'; readonly address: MailAddress }

/** A mail whose text is fixed, handed out to one process until its lease ends. */
export interface ClaimedMail extends HeldMail {
  readonly recipient: Recipient
  readonly digest: Digest
  /** Its Date: like its id the same at every try. */
  readonly sealedMs: number
  readonly expiresMs: number
  /** How often the server answered "not now" to it. */
  readonly attempts: number
  /** What the server refused before; null: nothing. */
  readonly refusals: MailRefusals | null
  /** Why it was not sent before; ''. */
  readonly why: string
}

/** Which notifications go to which recipients, and after what delay. */
export interface GatherRules {
  readonly ownerKinds: readonly NoticeKind[]
  readonly helpDesk: readonly MailAddress[]
  readonly helpDeskKinds: readonly NoticeKind[]
  readonly gatherMs: number
  readonly intervalMs: number
  readonly maxAgeMs: number
  readonly unresolvedAfterMs: number
}

/**
 * Notifications, made from the journal. It is read once, in its order, by a cursor that is moved in the same
 * transaction as the mails are written. So nothing is notified twice and nothing is left out, whichever process does it
 * or dies meanwhile.
 */
export interface NotificationPort {
  /** Events from here on are notified; nothing changes where that was so before. */
  begin(): Promise<void>
  /** Reads on; nothing before `begin`. @returns true where there is more to read */
  gather(rules: GatherRules): Promise<boolean>
  /** Skips everything up to now, for what was done in a dry run. */
  skip(): Promise<void>
}

/** What each write about a mail names: where the token is no longer the live one, nothing is written. */
export interface HeldMail {
  readonly id: string
  readonly token: LeaseToken
}

/** Mails on their way. All methods may fail with `store-busy`, `store-unavailable`, `disk-full`. */
export interface OutboxPort {
  /**
   * The next one that is due, sealed. Null: none is. One at a time for each recipient, in their order.
   * @param random in [0, 1): one of all that are due, so that no group of them is tried alone; null: the one that is
   *   due longest
   */
  claim(nowMs: number, random?: number | null): Promise<ClaimedMail | null>
  /** How many are due. */
  countDue(nowMs: number): Promise<number>
  /** The server accepted it: it takes mails. */
  sent(mail: HeldMail, address: MailAddress): Promise<void>
  /** The server refused it. What follows is decided by the record of other mails, and put on record. */
  refused(mail: ClaimedMail, refusal: Refusal, waits: RefusalWaits): Promise<RefusalOutcome>
  /** @param isTried the server answered "not now" to this mail itself */
  postpone(mail: HeldMail, wait: { dueMs: number; code: ErrorCode; why: string; isTried: boolean }): Promise<void>
  end(
    mail: HeldMail,
    state: 'refused' | 'expired' | 'no-address',
    why: { code: ErrorCode | null; text: string },
  ): Promise<void>
  /** Releases the lease: it was not tried. */
  release(mail: HeldMail): Promise<void>
  /** Leases of processes that died are free at once. */
  freeDeadLeases(): Promise<void>
  /** No mail can be sent at all, without an answer to one, and why. */
  trouble(failure: Pick<MailFailing, 'code' | 'reason' | 'fix'>): Promise<void>
  /** An address that the server accepted lately, other than this; null: none is on record. */
  takenAddress(except: MailAddress): Promise<MailAddress | null>
  /**
   * The server was asked about a recipient, without a mail, and refuses that one too.
   * @returns whether it refuses all
   */
  asked(recipient: MailAddress, refusal: Refusal): Promise<boolean>
  /** The server answers. @returns why no mail can be sent all the same; null: no such reason is known */
  answers(): Promise<MailFailing | null>
  /** True where a person wants the mails to be tried at once, since the last trouble. */
  isRetryWanted(): Promise<boolean>
  /** Removes mails that ended before this. @returns how many; call it until 0 */
  forget(beforeMs: number): Promise<number>
}

/** Milliseconds until the next retry, by the kind of the refusal. */
export interface RefusalWaits {
  readonly deferredMs: number
  /** @param times it was refused, from 1 */
  doubtedMs(times: number): number
  readonly serverMs: number
}

export interface RefusalOutcome {
  readonly verdict: MailVerdict
  readonly refusals: MailRefusals
  /** Null: no reason against all mails is known. */
  readonly failing: MailFailing | null
}

/** The address of a mail. */
export interface Contact {
  /** Null: none is known, or it is not valid. */
  readonly address: MailAddress | null
  readonly language: MailLanguage | null
  /** '' where it is not known. */
  readonly name: string
}

export interface ContactPort {
  /** Fails with `directory-*`, `source-*`, `entry-not-found`, `unknown-user`. */
  ofOwner(account: AccountKey): Promise<Contact>
}

/** The contents of the mail about a new token. */
export interface NewTokenMail {
  readonly id: string
  readonly to: MailAddress
  /** '' where it is not known. */
  readonly name: string
  readonly language: MailLanguage | null
  readonly login: string
  readonly serial: string
  readonly type: string
  /** Holds the secret: it is in the picture, and nowhere else. */
  readonly otpauth: string
}

export interface MailMessage {
  /** With angle brackets. */
  readonly messageId: string
  readonly dateMs: number
  readonly from: Mailbox
  readonly replyTo: MailAddress | null
  readonly to: MailAddress
  readonly subject: string
  readonly text: string
  readonly html: string
  /** Shown in the HTML as `cid:<id>`. */
  readonly inline?: readonly {
    readonly id: string
    readonly name: string
    readonly type: string
    readonly bytes: Uint8Array
  }[]
}

/** The mail server. */
export interface MailTransport extends AsyncDisposable {
  /**
   * Resolves once the server has taken responsibility (250).
   * Fails with a MailError where the server answers: `mail-deferred` (4xx) and `mail-refused` (5xx) to this mail, or to
   * all, where the codes do not decide (`refusalScope`); and for all mails alike with `mail-not-permitted`,
   * `mail-unreachable`, `-timeout`, `-tls`, `-login-refused`, and `config-invalid`, `file-*` for a secret that is not
   * there.
   */
  send(message: MailMessage): Promise<void>
  /** Closes the connection that is kept open for the next mail. */
  rest(): void
}

/** Makes the text of a mail. */
export interface MailComposer {
  write(mail: ClaimedMail, contact: Contact & { readonly address: MailAddress }): MailMessage
}
