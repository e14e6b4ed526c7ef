import type { MailLanguage } from '../core/mail/mail-language.ts'
import type { Notice } from '../core/mail/notice.ts'
import { reasonText, type Reason } from '../core/reasons/reason.ts'
import { rendersBareCodes } from '../core/wording.ts'
import { germanReason } from './reason-german.ts'

/** Reasons in the language of a mail. */

export function reasonIn(language: MailLanguage, reason: Reason | null): string {
  if (reason === null) return ''
  return language === 'de' && !rendersBareCodes() ? germanReason(reason) : reasonText(reason)
}

type About = NonNullable<Notice['about']>

const SUBJECTS: Readonly<Record<MailLanguage, Readonly<Partial<Record<About['what'], string>>>>> = {
  en: { resync: 'full resync' },
  de: {
    scan: 'Abfrage von privacyIDEA',
    resync: 'vollständiger Abgleich',
    event: 'Ereignis',
    register: 'Zuweisung',
    unregister: 'Entzug',
    lock: 'Sperre',
    unlock: 'Entsperrung',
  },
}

/** The subject of a notice that is about no account: a sweep, or an event. */
export function subjectIn(language: MailLanguage, { what, name }: About): string {
  return `${SUBJECTS[language][what] ?? what} ${name}`.trim()
}
