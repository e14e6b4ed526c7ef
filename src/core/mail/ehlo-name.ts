const NAME_LENGTH_MAX = 255
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/
const IPV6_PREFIX = /^\[IPv6:(.*)\]$/i

/**
 * The argument of EHLO (RFC 5321, 4.1.2 and 4.1.3): a domain of labels, `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
 * @returns null where it is neither
 */
export function parseEhloName(text: string): string | null {
  if (text.length > NAME_LENGTH_MAX) return null
  if (text.startsWith('[')) {
    const ipv6 = IPV6_PREFIX.exec(text)?.[1]
    if (ipv6 !== undefined) return isIpv6(ipv6) ? text : null
    return text.endsWith(']') && IPV4.test(text.slice(1, -1)) ? text : null
  }
  const labels = text.split('.')
  // Four numbers are an address that lacks its brackets.
  return labels.every((label) => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '') ? text : null
}

/** Groups of hexadecimal digits, one `::` at most, an IPv4 address at the end perhaps. */
function isIpv6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? ''
  const isMixed = IPV4.test(last)
  const plainOnes = isMixed ? groups.slice(0, -1) : groups
  const count = plainOnes.length + (isMixed ? 2 : 0)
  return plainOnes.every((group) => /^[\da-f]{1,4}$/i.test(group)) && (halves.length === 2 ? count < 8 : count === 8)
}
