import type { MailLanguage } from '../core/mail/mail-language.ts'
import type { Notice } from '../core/mail/notice.ts'

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
