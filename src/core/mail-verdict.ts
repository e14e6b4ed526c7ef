import { isBeforeRecipient, isForGood, refusalScope, type MailAnswer } from './mail-answer.ts'
import type { ErrorCode } from './error.ts'

/**
 * What follows from a refusal. Where the codes do not say whether it is about one mail or about all, other mails show it:
 *
 * | meanwhile                                              | verdict                                          |
 * | ------------------------------------------------------ | ------------------------------------------------ |
 * | the next mails, to others, are refused alike           | the server refuses all: every mail waits         |
 * | others are taken, and this one is refused again        | after three such times it is this mail's own fate |
 * | there is no other mail                                 | it waits, ever longer, as long as it is news     |
 *
 * So one odd recipient never stops the others, and a server that refuses all loses no mail.
 */
export type MailVerdict =
  /** It ends: this mail is never taken. */
  | 'refused'
  /** This mail waits; the server does not take it now. */
  | 'deferred'
  /** This mail waits; the next ones show whom it is about. */
  | 'doubted'
  /** All mails wait. */
  | 'server'

/** What is known of one mail's refusals; on record with it. */
export interface MailRefusals {
  readonly answer: MailAnswer
  /** How often, with a mail that was taken between one and the next. */
  readonly times: number
  /** How many mails the server had taken then. */
  readonly accepted: number
}

/** What is known of the server; on record. */
export interface MailServerRecord {
  /** Why no mail can be sent. */
  readonly failing: MailFailing | null
  /** When a mail was taken last. */
  readonly sentMs: number | null
  /** How many it took. */
  readonly accepted: number
  /** The answer that the mails since the last one that was taken got. */
  readonly suspect: MailSuspect | null
}

export interface MailFailing {
  readonly sinceMs: number
  readonly reason: string
  readonly code: ErrorCode | null
  /** What to do; ''. */
  readonly fix: string
  /** Null: it gave none. */
  readonly answer: MailAnswer | null
}

export interface MailSuspect {
  readonly codes: string
  readonly sinceMs: number
  /** Different ones, the first so many. */
  readonly recipients: readonly string[]
}

export interface Refusal {
  readonly answer: MailAnswer
  readonly code: ErrorCode
  readonly reason: string
  readonly fix: string
}

export interface Judgement {
  readonly verdict: MailVerdict
  readonly refusals: MailRefusals
  readonly server: MailServerRecord
}

/** So often a mail is refused, with others taken between, until that is its own fate; what is temporary, so often. */
const OWN_TIMES = 3
const OWN_TIMES_TEMPORARY = 2
/** So many recipients that are refused alike are all; more, where the server has just taken a mail. */
const ALL_RECIPIENTS = 2
const ALL_RECIPIENTS_AFTER_SENT = 20
const JUST_SENT_MS = 600_000
/** Greylisting refuses every recipient for some minutes; after this it is something else. */
const GREYLISTING_MS = 600_000

/** @param recipient names the one that the mail is for */
export function judgeRefusal(
  refusal: Refusal,
  about: { readonly before: MailRefusals | null; readonly recipient: string },
  known: MailServerRecord,
  nowMs: number,
): Judgement {
  const { answer } = refusal
  const { before, recipient } = about
  const scope = refusalScope(answer)
  const isNew = before === null
  const isAgain = before !== null && before.accepted < known.accepted
  const times = isNew ? 1 : before.times + (isAgain ? 1 : 0)
  const refusals = { answer, times, accepted: isNew || isAgain ? known.accepted : before.accepted }
  const answering = afterAnswer(known)
  const ofMail = isForGood(answer) ? 'refused' : 'deferred'
  if (scope === 'mail') return { verdict: ofMail, refusals, server: answering }
  if (isBeforeRecipient(answer)) return { verdict: 'server', refusals, server: failed(known, refusal, nowMs) }
  const isOwn = times >= (isForGood(answer) ? OWN_TIMES : OWN_TIMES_TEMPORARY)
  if (isOwn) return { verdict: ofMail, refusals, server: answering }
  if (scope === 'server') return { verdict: 'server', refusals, server: failed(known, refusal, nowMs) }

  const suspect = suspectOf(known.suspect, answer, recipient, nowMs)
  const server = { ...answering, suspect }
  const count = suspect.recipients.length
  if (!isForGood(answer)) {
    const isLong = count >= ALL_RECIPIENTS && nowMs - suspect.sinceMs >= GREYLISTING_MS
    return { verdict: 'deferred', refusals, server: isLong ? failed(server, refusal, nowMs) : server }
  }
  const isJustSent = known.sentMs !== null && nowMs - known.sentMs < JUST_SENT_MS
  const isOfAll = count >= (isJustSent ? ALL_RECIPIENTS_AFTER_SENT : ALL_RECIPIENTS)
  if (!isOfAll) return { verdict: 'doubted', refusals, server }
  return { verdict: 'server', refusals, server: failed(server, refusal, nowMs) }
}

/** The server took a mail. */
export function afterSent({ accepted }: MailServerRecord, nowMs: number): MailServerRecord {
  return { failing: null, sentMs: nowMs, accepted: accepted + 1, suspect: null }
}

/** The server answers; that it takes mails is shown by one that it takes. */
export function afterAnswer(known: MailServerRecord): MailServerRecord {
  const answer = known.failing?.answer ?? null
  return answer === null || isBeforeRecipient(answer) ? { ...known, failing: null } : known
}

export function failed(
  known: MailServerRecord,
  { reason, code, fix, answer }: Omit<Refusal, 'answer'> & { readonly answer: MailAnswer | null },
  nowMs: number,
): MailServerRecord {
  const sinceMs = known.failing?.sinceMs ?? (answer === null ? nowMs : (known.suspect?.sinceMs ?? nowMs))
  return { ...known, failing: { sinceMs, reason, code, fix, answer } }
}

function suspectOf(known: MailSuspect | null, answer: MailAnswer, recipient: string, nowMs: number): MailSuspect {
  const codes = `${answer.stage} ${answer.status} ${answer.enhanced ?? ''}`.trim()
  if (known === null || known.codes !== codes) return { codes, sinceMs: nowMs, recipients: [recipient] }
  const isFurther = !known.recipients.includes(recipient) && known.recipients.length < ALL_RECIPIENTS_AFTER_SENT
  return isFurther ? { ...known, recipients: [...known.recipients, recipient] } : known
}

/** For mails that go without an outbox: whether what was refused would be refused to all. */
export function newRefusalWatch(): {
  accepted(nowMs: number): void
  isOfAll(refusal: Refusal, recipient: string, nowMs: number): boolean
} {
  let known: MailServerRecord = { failing: null, sentMs: null, accepted: 0, suspect: null }
  return {
    accepted(nowMs) {
      known = afterSent(known, nowMs)
    },
    isOfAll(refusal, recipient, nowMs) {
      const { verdict, server } = judgeRefusal(refusal, { before: null, recipient }, known, nowMs)
      known = server
      return verdict === 'server'
    },
  }
}
