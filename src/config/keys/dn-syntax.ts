/** RFC 4514, 3: attribute type, `=`, then a string with escapes or `#` and hexadecimal digits. */
const TYPE = /^(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)$/
const VALUE = /^(?:#(?:[0-9A-Fa-f]{2})+|(?:[^\\"+,;<>]|\\[\\"+,;<>=# ]|\\[0-9A-Fa-f]{2})+)$/

/** @returns what is wrong with a distinguished name, without the text itself, or null */
export function dnProblem(text: string): string | null {
  for (const [index, part] of splitUnescaped(text).entries()) {
    const where = `part ${index + 1}`
    const equals = part.indexOf('=')
    if (equals < 0) return `${where} has no "="`
    if (!TYPE.test(part.slice(0, equals).trim())) return `${where} has no attribute name before "="`
    if (!VALUE.test(part.slice(equals + 1).trim())) return `${where} has a bad or empty value`
  }
  return null
}

/** Splits at each `,` and `+` without a backslash before it. */
function splitUnescaped(text: string): string[] {
  return text.split(/(?<!(?<!\\)(?:\\\\)*\\)[,+]/)
}
