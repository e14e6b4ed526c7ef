import { parseReason, plainReason, type Reason } from '../../core/reasons/reason.ts'
import { codeOfOldSentence } from './old-sentences.ts'

/**
 * Reasons in columns and in journal bodies: JSON of `{code, params}`. Older versions wrote sentences there, which are never
 * rewritten: they are read as `plain-text`, or as the code whose sentence it was.
 */

const JSON_START = '{"code":"'

export function reasonToRow(reason: Reason | null): string {
  return reason === null ? '' : JSON.stringify(reason)
}

export function reasonFromRow(text: string): Reason | null {
  if (text === '') return null
  return text.startsWith(JSON_START) ? parsed(text) : (codeOfOldSentence(text) ?? plainReason(text))
}

/** Of a change: the sentence of an older version stays one, so that its LDIF files are written as they were. */
export function reasonOfChange(text: string): Reason {
  return text.startsWith(JSON_START) ? parsed(text) : plainReason(text)
}

function parsed(text: string): Reason {
  try {
    const value: unknown = JSON.parse(text)
    return parseReason(value) ?? plainReason(codeOf(value) ?? text)
  } catch {
    return plainReason(text)
  }
}

/** For columns that always have one. */
export function requiredReason(text: string): Reason {
  return reasonFromRow(text) ?? plainReason('')
}

/** Of a journal body: an object since reasons are codes, a sentence before. */
export function reasonFromBody(value: unknown): Reason | null {
  if (typeof value === 'string') return value === '' ? null : (codeOfOldSentence(value) ?? plainReason(value))
  const code = codeOf(value)
  return parseReason(value) ?? (code === null ? null : plainReason(code))
}

/** A code of a newer version is shown unchanged. */
function codeOf(value: unknown): string | null {
  const code = typeof value === 'object' && value !== null ? (value as { code?: unknown }).code : null
  return typeof code === 'string' ? code : null
}
