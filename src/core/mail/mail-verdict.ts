import { isBeforeRecipient, isForGood, refusalScope, type MailAnswer, type MailError } from './mail-answer.ts'
import type { ErrorCode } from '../error.ts'

/**
 * What follows from a refusal. A refusal that is about all mails by its codes ends none of them. Where the codes do not
 * decide whether it is about one mail or about all, other mails show it:
 *
 * | meanwhile                                                           | verdict                                |
 * | ------------------------------------------------------------------- | -------------------------------------- |
 * | the next mails, to others, are refused alike                        | the server refuses all: all mails wait |
 * | refused for good a third time, and another was sent since the first | about this mail alone: it ends         |
 * | nothing else was sent                                               | it waits, ever longer, until expiry    |
 *
 * Only a mail that the server took as a whole shows anything. So one odd recipient never stops the others, and a server
 * that refuses all loses no mail.
 */
export type MailVerdict =
  /** It ends: this mail is never taken. */
  | 'refused'
  /** This mail waits; the server does not take it now. */
  | 'deferred'
  /** This mail waits; the next ones show what the refusal is about. */
  | 'doubted'
  /** All mails wait. */
  | 'server'

/** What is known of one mail's refusals; on record with it. */
export interface MailRefusals {
  readonly answer: MailAnswer
  readonly times: number
  /** How many mails the server had taken at the first of `own`. */
  readonly accepted: number
  /** Refusals for good, perhaps of this mail alone, since the server last refused all. Left out by older versions. */
  readonly own?: number
}

/** What is known of the server; on record. */
export interface MailServerRecord {
  /** Why no mail can be sent. */
  readonly failing: MailFailing | null
  /** When a mail was last taken. */
  readonly sentMs: number | null
  /** When it last took a mail, and how many so far. */
  readonly takenMs: number | null
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
  /** The same where it is about all mails. */
  readonly reasonOfAll: string
  readonly fix: string
}

export interface Judgement {
  readonly verdict: MailVerdict
  readonly refusals: MailRefusals
  readonly server: MailServerRecord
}

/** So often a mail is refused, and others are taken in between, until the refusal is about it alone. */
const OWN_TIMES = 3
/** So many recipients that are refused alike are all; more, where the server has just taken one. */
const ALL_RECIPIENTS = 2
const ALL_RECIPIENTS_AFTER_TAKEN = 20
const JUST_TAKEN_MS = 600_000
const ASKED_FROM_TIMES = 2
/** After so long without a mail that is taken this is reported, whatever it is; greylisting is over by then. */
const REPORT_MS = 600_000
/** Where one recipient alone is put off. */
const REPORT_ONE_MS = 3_600_000

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
  const counted = { answer, times: (before?.times ?? 0) + 1 }
  const refusals = { ...counted, ...ownOf(refusal, before, known) }
  const ofNone = { ...counted, accepted: known.accepted, own: 0 }
  const answering = afterAnswer(known)
  const ofMail = isForGood(answer) ? 'refused' : 'deferred'
  if (scope === 'mail') return { verdict: ofMail, refusals, server: answering }
  const all: Judgement = { verdict: 'server', refusals: ofNone, server: failed(known, ofAll(refusal), nowMs) }
  if (isBeforeRecipient(answer)) return all
  if (scope === 'server') return all
  if (refusals.own >= OWN_TIMES && known.accepted > refusals.accepted) {
    return { verdict: 'refused', refusals, server: answering }
  }

  const isJustTaken = known.takenMs !== null && nowMs - known.takenMs < JUST_TAKEN_MS
  const suspect = suspectOf(known.suspect, answer, recipient, nowMs)
  const server = { ...answering, suspect }
  const isOfAll = suspect.recipients.length >= (isJustTaken ? ALL_RECIPIENTS_AFTER_TAKEN : ALL_RECIPIENTS)
  if (isForGood(answer) && isOfAll)
    return { verdict: 'server', refusals: ofNone, server: failed(server, ofAll(refusal), nowMs) }
  return {
    verdict: isForGood(answer) ? 'doubted' : 'deferred',
    refusals,
    server: isLong(suspect, answer, nowMs) ? failed(server, refusal, nowMs) : server,
  }
}

function ownOf(
  { answer }: Refusal,
  before: MailRefusals | null,
  known: MailServerRecord,
): { readonly own: number; readonly accepted: number } {
  const { own = 0, accepted = known.accepted } = before ?? {}
  if (!isForGood(answer)) return { own, accepted }
  return own === 0 ? { own: 1, accepted: known.accepted } : { own: own + 1, accepted }
}

function isLong({ sinceMs, recipients }: MailSuspect, answer: MailAnswer, nowMs: number): boolean {
  const isOne = recipients.length < ALL_RECIPIENTS && !isForGood(answer)
  return nowMs - sinceMs >= (isOne ? REPORT_ONE_MS : REPORT_MS)
}

export function refusalOf({ code, message: reason, messageOfAll: reasonOfAll, hint: fix, answer }: MailError): Refusal {
  return { answer, code, reason, reasonOfAll, fix }
}

/** As it is about every mail. */
export function ofAll(refusal: Refusal): Refusal {
  const code = refusal.code === 'mail-refused' ? 'mail-not-permitted' : refusal.code
  return { ...refusal, code, reason: refusal.reasonOfAll }
}

/** The server took a mail. */
export function afterSent(known: MailServerRecord, nowMs: number): MailServerRecord {
  return { ...known, failing: null, sentMs: nowMs, takenMs: nowMs, accepted: known.accepted + 1, suspect: null }
}

/** Whether to ask about a refusal with another recipient: after more than one refusal that is not clear. */
export function isWorthAsking(verdict: MailVerdict, { answer, times }: MailRefusals): boolean {
  return verdict === 'doubted' && answer.stage === 'recipient' && times >= ASKED_FROM_TIMES
}

/** The server answers; only a mail that it takes shows that it takes mails. */
export function afterAnswer(known: MailServerRecord): MailServerRecord {
  const answer = known.failing?.answer ?? null
  return answer === null || isBeforeRecipient(answer) ? { ...known, failing: null } : known
}

export function failed(
  known: MailServerRecord,
  { reason, code, fix, answer }: Omit<MailFailing, 'sinceMs'>,
  nowMs: number,
): MailServerRecord {
  const sinceMs = known.failing?.sinceMs ?? (answer === null ? nowMs : (known.suspect?.sinceMs ?? nowMs))
  return { ...known, failing: { sinceMs, reason, code, fix, answer } }
}

function suspectOf(known: MailSuspect | null, answer: MailAnswer, recipient: string, nowMs: number): MailSuspect {
  const codes = `${answer.stage} ${answer.status} ${answer.enhanced ?? ''}`.trim()
  if (known === null || known.codes !== codes) return { codes, sinceMs: nowMs, recipients: [recipient] }
  const isFurther = !known.recipients.includes(recipient) && known.recipients.length < ALL_RECIPIENTS_AFTER_TAKEN
  return isFurther ? { ...known, recipients: [...known.recipients, recipient] } : known
}
