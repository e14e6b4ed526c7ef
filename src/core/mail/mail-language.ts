/** The languages that mails are written in. */
export const MAIL_LANGUAGES = ['en', 'de'] as const
export type MailLanguage = (typeof MAIL_LANGUAGES)[number]

/**
 * The preferred one of these languages, from `preferredLanguage` (RFC 2798: as the header
 * Accept-Language, `de-AT, en;q=0.5`); null where none of them is named.
 */
export function preferredLanguage(text: string): MailLanguage | null {
  const wanted = text.split(',').map((part, order) => {
    const [tag = '', ...parameters] = part.split(';').map((each) => each.trim().toLowerCase())
    const weight = parameters.find((each) => each.startsWith('q='))
    return { tag: tag.split(/[-_]/)[0] ?? '', order, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 }
  })
  const ordered = wanted.toSorted((a, b) => b.weight - a.weight || a.order - b.order)
  for (const { tag, weight } of ordered) {
    const found = MAIL_LANGUAGES.find((language) => language === tag)
    if (found !== undefined && weight > 0) return found
  }
  return null
}
