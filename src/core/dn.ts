/**
 * A form in which two spellings of one DN are equal: lower case, no spaces around separators, escapes unified
 * (RFC 4514). For comparing only; the parts of a multi-valued RDN keep their order.
 */
export function normalDn(dn: string): string {
  const lower = dn.toLowerCase()
  if (!/[\s\\]/.test(lower)) return lower
  return splitDn(lower).map(normalRdn).join(',')
}

/** True when `dn` is `base` or lies below it; both in normal form. */
export function isWithin(dn: string, base: string): boolean {
  return base === '' || dn === base || (dn.endsWith(base) && dn.charAt(dn.length - base.length - 1) === ',')
}

/** Splits at commas without a backslash before them. */
function splitDn(dn: string): string[] {
  return dn.match(/(?:\\.|[^\\,])+/gs) ?? []
}

function normalRdn(rdn: string): string {
  const equals = rdn.indexOf('=')
  const type = rdn.slice(0, equals).trim()
  const value = trimUnescaped(rdn.slice(equals + 1)).replace(/\s+/g, ' ')
  return `${type}=${value.replace(/\\([0-9a-f]{2}|.)/gs, (_, escaped: string) => hexOfEscape(escaped))}`
}

/** A space after a backslash belongs to the value. */
function trimUnescaped(value: string): string {
  const start = value.trimStart()
  const end = start.trimEnd()
  return end.endsWith('\\') && end.length < start.length ? `${end} ` : end
}

function hexOfEscape(escaped: string): string {
  const code = escaped.length === 2 ? escaped : (escaped.codePointAt(0) ?? 0).toString(16).padStart(2, '0')
  return `\\${code}`
}

/** The parent of a DN, in normal form; '' for a DN of one part. */
export function parentDn(dn: string): string {
  return splitDn(normalDn(dn)).slice(1).join(',')
}
