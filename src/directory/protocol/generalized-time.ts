const FORM = /^(\d{4})(\d{2})(\d{2})(\d{2})(?:(\d{2})(\d{2})?)?(?:[.,](\d+))?(Z|[+-]\d{2}(?:\d{2})?)$/

/**
 * Generalized Time (RFC 4517, 3.3.13), as in `20261124101500Z`.
 * @returns milliseconds since 1970, or null when the text is none (or a year before 1000, which means no time)
 */
export function parseGeneralizedTime(text: string): number | null {
  const match = FORM.exec(text)
  if (match === null) return null
  const [, year = '', month = '', day = '', hour = '', minute, second, fraction, zone = 'Z'] = match
  if (Number(year) < 1000) return null
  const unitMs = second !== undefined ? 1000 : minute !== undefined ? 60_000 : 3_600_000
  const fractionMs = fraction === undefined ? 0 : Number(`0.${fraction}`) * unitMs
  const plainMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute ?? 0),
    Number(second ?? 0),
  )
  return plainMs + Math.round(fractionMs) - zoneMs(zone)
}

function zoneMs(zone: string): number {
  if (zone === 'Z') return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3) || 0)
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000
}
