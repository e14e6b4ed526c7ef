/** A value longer than this is not repeated in a message. */
const SHOWN_LENGTH_MAX = 60

/**
 * The value in the file, unless it could be a secret: such a key, a URL with credentials, anything long or structured.
 */
export function shownValue(key: string, value: unknown): string {
  if (value === null) return 'nothing (null)'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return 'a section'
  if (/password|secret|token|key/i.test(key)) return `a ${typeof value} (not shown)`
  if (typeof value !== 'string') return `the ${typeof value} ${JSON.stringify(value) ?? ''}`
  if (/\/\/[^/]*@/.test(value)) return 'a URL with credentials (not shown)'
  return value.length > SHOWN_LENGTH_MAX ? `a text of ${value.length} characters` : JSON.stringify(value)
}
