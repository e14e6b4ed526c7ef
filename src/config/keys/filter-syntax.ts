/** Nesting at most so deep; a hand-written filter has two or three levels. */
const DEPTH_MAX = 32
/** RFC 4515, 3: attribute (with options or an extensible match), operator, value with `\hh` escapes. */
const ITEM =
  /^(?:[A-Za-z0-9.-]+(?:;[A-Za-z0-9-]+)*(?::dn)?(?::[A-Za-z0-9.-]+)?:=|:(?:dn:)?[A-Za-z0-9.-]+:=|[A-Za-z0-9.-]+(?:;[A-Za-z0-9-]+)*(?:>=|<=|~=|=))(.*)$/s

/** @returns what is wrong with an LDAP filter (RFC 4515), or null */
export function filterProblem(text: string): string | null {
  const end = filterAt(text, 0, 0)
  if (typeof end === 'string') return end
  return end === text.length ? null : `there is something after its closing parenthesis, at character ${end + 1}`
}

/** Reads one filter. @returns the index after it, or what is wrong */
function filterAt(text: string, start: number, depth: number): number | string {
  if (depth > DEPTH_MAX) return `it is nested more than ${DEPTH_MAX} levels deep`
  if (text[start] !== '(') return `it lacks a "(" at character ${start + 1}`
  const sign = text[start + 1]
  if (sign === '&' || sign === '|' || sign === '!') return listAt(text, start + 2, depth, sign)
  const close = text.indexOf(')', start)
  if (close < 0) return 'it lacks a closing ")"'
  const value = ITEM.exec(text.slice(start + 1, close))?.[1]
  if (value === undefined) return `"attribute=value" is expected at character ${start + 2}`
  if (/[(\0]|\\(?![0-9A-Fa-f]{2})/.test(value)) return `the value at character ${start + 2} has a "(" or a bad escape`
  return close + 1
}

function listAt(text: string, start: number, depth: number, sign: '&' | '|' | '!'): number | string {
  let at = start
  let count = 0
  while (text[at] === '(') {
    const next = filterAt(text, at, depth + 1)
    if (typeof next === 'string') return next
    at = next
    count += 1
  }
  if (text[at] !== ')') return `it lacks a ")" at character ${at + 1}`
  if (count === 0) return `there is nothing after "${sign}"`
  return sign === '!' && count > 1 ? '"!" takes one filter' : at + 1
}
