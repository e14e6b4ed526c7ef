import type { MailLanguage } from '../core/mail/mail-language.ts'
import { subjectIn } from './mail-subjects.ts'
import { countOf, NOTICE_KINDS, type Cause, type Digest, type Notice, type NoticeKind } from '../core/mail/notice.ts'
import { reasonText, type ReasonCode } from '../core/reasons/reason.ts'
import type { NewTokenMail } from '../ports/store/mail.ts'
import type { TemplateData } from './templates.ts'

/** What templates are given. docs/reference/mail.md lists the names; all texts are one line, without control characters. */

export interface Formats {
  readonly language: MailLanguage
  /** IANA name; undefined: this machine's. */
  readonly timeZone: string | undefined
}

/** What is the same for all mails. */
export interface MailContext {
  readonly contact: string
  readonly host: string
  /** The mail comes long after what it reports. */
  readonly isLate: boolean
}

const LOCALES: Readonly<Record<MailLanguage, string>> = { de: 'de-DE', en: 'en-GB' }
const TEXT_LENGTH_MAX = 400
// eslint-disable-next-line no-control-regex -- control characters, line ends and what turns the reading direction
const NOT_IN_A_LINE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+/g

/** A value from outside on one line, with any content. */
export function oneLine(text: string): string {
  const line = text.replace(NOT_IN_A_LINE, ' ').trim()
  return line.length > TEXT_LENGTH_MAX ? `${line.slice(0, TEXT_LENGTH_MAX)}…` : line
}

/** As `24 November 2026 at 10:39 CET`. */
export function formatTime(ms: number, { language, timeZone }: Formats): string {
  return new Intl.DateTimeFormat(LOCALES[language], {
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
    timeZone,
  }).format(new Date(ms))
}

function formatCount(count: number, { language }: Formats): string {
  return new Intl.NumberFormat(LOCALES[language]).format(count)
}

function causeData(cause: Cause, formats: Formats): TemplateData {
  return {
    kind: cause.kind,
    serial: oneLine(cause.serial ?? ''),
    since: cause.sinceMs === null ? '' : formatTime(cause.sinceMs, formats),
    until: cause.untilMs === null ? '' : formatTime(cause.untilMs, formats),
    reason: oneLine(cause.because.code === 'manual' ? cause.because.params.text : ''),
    actor: oneLine(cause.actor),
    code: cause.because.code,
    text: oneLine(reasonText(cause.because, formats.language)),
  }
}

/** Reasons of a lock that mean failed logins. */
const FAILURES: readonly ReasonCode[] = ['token-max-fail', 'user-token-max-fail', 'user-lockout-failures']

function isAfterFailures({ causes }: Notice): boolean {
  return causes.some(({ because }) => FAILURES.includes(because.code))
}

function noticeData(notice: Notice, formats: Formats): TemplateData {
  return {
    kind: notice.kind,
    time: formatTime(notice.atMs, formats),
    login: oneLine(notice.login ?? ''),
    realm: oneLine(notice.realm ?? ''),
    account: oneLine(notice.about === undefined ? notice.subject : subjectIn(formats.language, notice.about)),
    reason: oneLine(reasonText(notice.reason, formats.language)),
    code: notice.reason?.code ?? '',
    after_failures: isAfterFailures(notice),
    by_others: notice.causes.some(({ because }) => !FAILURES.includes(because.code)),
    causes: notice.causes.map((cause) => causeData(cause, formats)),
    count: notice.count,
  }
}

function mailContext({ contact, host, isLate }: MailContext, { language }: Formats): TemplateData {
  const lines = contact.split(/\r?\n/).map(oneLine)
  return { language, contact: lines.filter((line) => line !== ''), host: oneLine(host), late: isLate }
}

/** @param name '' where it is not known */
export function ownerData(digest: Digest, name: string, around: MailContext, formats: Formats): TemplateData {
  const items = digest.items.map((item) => noticeData(item, formats))
  const last = digest.items.at(-1)
  const state = digest.items.findLast(({ kind }) => kind === 'locked' || kind === 'unlocked')?.kind ?? ''
  return {
    ...mailContext(around, formats),
    name: oneLine(name),
    login: oneLine(last?.login ?? last?.subject ?? ''),
    items,
    item: items.at(-1) ?? null,
    count: countOf(digest),
    more: countOf(digest) - items.length,
    state,
    after_failures: digest.items.some(isAfterFailures),
  }
}

export function helpDeskData(digest: Digest, around: MailContext, formats: Formats): TemplateData {
  const groups = NOTICE_KINDS.flatMap((kind) => {
    const count = digest.counts[kind] ?? 0
    return count === 0 ? [] : [groupData(kind, count, digest, formats)]
  })
  const items = digest.items.map((item) => noticeData(item, formats))
  return {
    ...mailContext(around, formats),
    groups,
    count: countOf(digest),
    item: items.length === 1 ? items[0] : null,
    first: formatTime(digest.firstMs, formats),
    last: formatTime(digest.lastMs, formats),
  }
}

function groupData(kind: NoticeKind, count: number, digest: Digest, formats: Formats): TemplateData {
  const items = digest.items.filter((item) => item.kind === kind)
  // A drift is one item that counts for many.
  const shown = items.reduce((sum, item) => sum + item.count, 0)
  const more = Math.max(0, count - shown)
  return {
    kind,
    count,
    number: formatCount(count, formats),
    items: items.map((item) => noticeData(item, formats)),
    more,
    more_number: formatCount(more, formats),
  }
}

/** The content id of the QR code (RFC 2392). */
export const IMAGE_ID = 'token_image'

export function newTokenData(
  { name, login, serial, type }: Pick<NewTokenMail, 'name' | 'login' | 'serial' | 'type'>,
  around: MailContext,
  formats: Formats,
): TemplateData {
  return { ...mailContext(around, formats), name: oneLine(name), login: oneLine(login), serial, type, image: IMAGE_ID }
}

export function testData(around: MailContext, nowMs: number, formats: Formats): TemplateData {
  return { ...mailContext(around, formats), time: formatTime(nowMs, formats) }
}
